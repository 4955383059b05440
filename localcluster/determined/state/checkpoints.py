"""Checkpoints: what trials reported, in which order users see them, and which may be deleted."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from localcluster.determined.errors import InvalidArgument
from localcluster.determined.state import metrics
from localcluster.determined.state.database import Database, Row, dump, now

_SELECT = """SELECT checkpoints.*, trials.experiment_id, trials.hparams, trials.task_id, trials.end_time AS trial_end,
  experiments.config
  FROM checkpoints JOIN trials ON trials.id = trial_id JOIN experiments ON experiments.id = experiment_id"""

_SORTS = {"SORT_BY_BATCH_NUMBER": "steps"} | {f"SORT_BY_{name.upper()}": name for name in ("trial_id", "uuid", "state")}
_BEST = "SORT_BY_SEARCHER_METRIC"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def report(db: Database, allocation: Row, body: dict[str, Any]) -> None:
    """Store a checkpoint whose files lie in the storage; reporting it again replaces it.

    Raises InvalidArgument where `metadata.steps_completed` is missing, or the uuid is none or another trial's.
    """
    if not _UUID.fullmatch(body["uuid"]):
        raise InvalidArgument(f"uuid: {body['uuid']!r} is not a uuid")
    metadata = body.get("metadata") or {}
    steps = metadata.get("steps_completed")
    if isinstance(steps, bool) or not isinstance(steps, int | float):
        raise InvalidArgument("metadata.steps_completed: is required in a checkpoint and must be a number")
    known = db.row("SELECT trial_id FROM checkpoints WHERE uuid = ?", body["uuid"])
    if known and known["trial_id"] != allocation["trial_id"]:
        raise InvalidArgument(f"uuid: checkpoint {body['uuid']} belongs to another trial")
    columns: dict[str, Any] = {
        "allocation_id": allocation["id"],
        "state": str(body.get("state", "STATE_COMPLETED")).removeprefix("STATE_"),
        "report_time": body.get("reportTime") or now(),
        "metadata": metadata,
        "resources": sizes(body.get("resources") or {}),
        "steps": int(steps),
    }
    if known:
        db.update("checkpoints", "uuid", body["uuid"], **columns)
    else:
        db.insert("checkpoints", uuid=body["uuid"], trial_id=allocation["trial_id"], **columns)


def sizes(resources: Any) -> dict[str, int]:
    """Return the bytes of each file, which the wire has as text; raises InvalidArgument."""
    try:
        return {path: int(size) for path, size in resources.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidArgument("resources: must be the sizes of files in bytes by their path") from error


def get(db: Database, uuid: str) -> Row:
    """Return a checkpoint with its trial's hyperparameters and configuration; raises NotFound."""
    return db.one(f"checkpoint {uuid}", f"{_SELECT} WHERE uuid = ?", uuid)


def find(db: Database, *, trial_id: int | None = None, experiment_id: int | None = None) -> list[Row]:
    """Return the checkpoints of a trial or an experiment by report time."""
    return db.rows(
        f"{_SELECT} WHERE (?1 IS NULL OR trial_id = ?1) AND (?2 IS NULL OR experiment_id = ?2)"
        " ORDER BY report_time, uuid",
        trial_id,
        experiment_id,
    )


def mark_deleted(db: Database, uuids: Sequence[str]) -> None:
    """Say that checkpoints are deleted; their resources stay listed until the files are gone."""
    db.many("UPDATE checkpoints SET state = 'DELETED' WHERE uuid = ?", [(uuid,) for uuid in uuids])


def marked(db: Database) -> list[Row]:
    """Return the deleted checkpoints whose files are still to go."""
    return db.rows(f"{_SELECT} WHERE checkpoints.state = 'DELETED' AND resources != '{{}}'")


def metric(db: Database, checkpoint: Row, name: str = "") -> float | None:
    """Return the value of a validation metric, else of the searcher's, at the checkpoint's step."""
    name = name or json.loads(checkpoint["config"])["searcher"]["metric"]
    validation = metrics.at(db, checkpoint["trial_id"], metrics.VALIDATION, checkpoint["steps"])
    return metrics.number((validation or {}).get(name))


def ordered(
    db: Database, rows: Sequence[Row], *, attribute: str = _BEST, by_metric: str = "", descending: bool | None = None
) -> list[Row]:
    """Sort checkpoints by an attribute (`SORT_BY_…`) or a metric; those without the metric come last.

    `descending` None takes the searcher's `smaller_is_better` for metrics and ascending for the rest.
    """
    if not by_metric and attribute != _BEST:
        column = _SORTS.get(attribute, "report_time")
        return sorted(rows, key=lambda row: row[column], reverse=bool(descending))
    if not rows:
        return []
    searcher = json.loads(rows[0]["config"])["searcher"]
    name = by_metric or searcher["metric"]
    down = descending if descending is not None else not (by_metric or searcher["smaller_is_better"])
    values = {row["uuid"]: metric(db, row, name) for row in rows}
    sign = -1 if down else 1
    return sorted(rows, key=lambda row: (values[row["uuid"]] is None, sign * (values[row["uuid"]] or 0)))


def set_resources(db: Database, uuid: str, resources: dict[str, int]) -> None:
    """Say which files are left: none means DELETED, fewer than before PARTIALLY_DELETED."""
    before = json.loads(get(db, uuid)["resources"])
    if resources == before:
        return
    state = "PARTIALLY_DELETED" if resources else "DELETED"
    db.update("checkpoints", "uuid", uuid, resources=resources, state=state)


def require_unregistered(db: Database, uuids: Sequence[str], what: str = "deleted") -> None:
    """Raise InvalidArgument, naming the versions, where model versions hold some of the checkpoints."""
    held = db.rows(
        "SELECT checkpoint_uuid, models.name, model_id, version FROM model_versions JOIN models ON models.id = model_id"
        " WHERE checkpoint_uuid IN (SELECT value FROM json_each(?)) ORDER BY 1, 3, 4",
        dump(list(uuids)),
    )
    if held:
        line = "{checkpoint_uuid}, registered to {name} (model #{model_id}), version {version}"
        names = ", ".join(line.format(**dict(row)) for row in held)
        raise InvalidArgument(f"these checkpoints are in the model registry and cannot be {what}: {names}")


def expendable(db: Database, experiment_id: int, policy: dict[str, int] | None = None) -> list[str]:
    """Return the checkpoints that the experiment's storage policy (or `policy`) no longer keeps.

    One goes iff it is (neither among the best of the experiment nor of its trial, or has no validation) and is not
    among its trial's latest; never one that the registry or a warm start holds, or from which a trial would resume.
    """
    rows = [row for row in find(db, experiment_id=experiment_id) if row["state"] in ("COMPLETED", "PARTIALLY_DELETED")]
    if not rows:
        return []
    policy = policy or json.loads(rows[0]["config"])["checkpoint_storage"]
    best = [row for row in ordered(db, rows) if metric(db, row) is not None]
    kept = {row["uuid"] for row in best[: policy["save_experiment_best"]]}
    for trial_id, unfinished in {row["trial_id"]: row["trial_end"] is None for row in rows}.items():
        of_trial = [row["uuid"] for row in best if row["trial_id"] == trial_id]
        latest = [row["uuid"] for row in sorted(rows, key=lambda row: -row["steps"]) if row["trial_id"] == trial_id]
        kept |= {*of_trial[: policy["save_trial_best"]], *latest[: max(policy["save_trial_latest"], unfinished)]}
    kept |= {row[0] for row in db.rows("SELECT checkpoint_uuid FROM model_versions")}
    kept |= {row[0] for row in db.rows("SELECT warm_start FROM trials WHERE warm_start IS NOT NULL")}
    return [row["uuid"] for row in rows if row["uuid"] not in kept]
