"""Experiments: what was submitted, and the states they go through.

ACTIVE <-> PAUSED; either -> STOPPING_{COMPLETED, CANCELED, KILLED, ERROR}, which may only get worse, in this order;
STOPPING_x ends in COMPLETED, CANCELED, CANCELED or ERROR once every trial has ended.  What has ended may be continued
(PAUSED again) or deleted: DELETING, then gone, or DELETE_FAILED.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
import uuid
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from localcluster.determined.errors import FailedPrecondition, InvalidArgument
from localcluster.determined.state import overview
from localcluster.determined.state.database import Database, Row, dump, now, order_by

TERMINAL = ("COMPLETED", "CANCELED", "ERROR", "DELETE_FAILED")
DELETING = "DELETING"
STOPPING = {
    "STOPPING_COMPLETED": "COMPLETED",
    "STOPPING_CANCELED": "CANCELED",
    "STOPPING_KILLED": "CANCELED",
    "STOPPING_ERROR": "ERROR",
}
"""Where each stopping state ends, in the order in which one may follow the other."""

_COLUMNS = ("description", "name", "start_time", "end_time", "state", "progress")
_SORTS = {f"SORT_BY_{name.upper()}": f"experiments.{name}" for name in _COLUMNS} | {
    "": "experiments.id",
    "SORT_BY_UNSPECIFIED": "experiments.id",
    "SORT_BY_ID": "experiments.id",
    "SORT_BY_USER": "username",
    "SORT_BY_NUM_TRIALS": "trials",
    "SORT_BY_CHECKPOINT_COUNT": "checkpoints",
    "SORT_BY_CHECKPOINT_SIZE": "(SELECT COALESCE(sum(size.value), 0) FROM trials"
    " JOIN checkpoints ON trial_id = trials.id, json_each(resources) AS size"
    " WHERE experiment_id = experiments.id AND checkpoints.state != 'DELETED')",
    "SORT_BY_FORKED_FROM": "parent_id",
    "SORT_BY_RESOURCE_POOL": "json_extract(config, '$.resources.resource_pool')",
    "SORT_BY_PROJECT_ID": "NULL",  # there is one project
    "SORT_BY_SEARCHER_METRIC_VAL": "NULL",  # see find
}
_DIRECTORY, _FILE = ord("5"), ord("0")
_SELECT = """SELECT experiments.*, users.username, users.display_name,
  (SELECT count(*) FROM trials WHERE experiment_id = experiments.id) AS trials,
  (SELECT count(*) FROM checkpoints JOIN trials ON trials.id = trial_id
     WHERE experiment_id = experiments.id AND checkpoints.state = 'COMPLETED') AS checkpoints,
  (SELECT max(allocations.state) FROM allocations JOIN trials ON trials.id = trial_id
     WHERE experiment_id = experiments.id AND allocations.state != 'TERMINATED') AS allocated
  FROM experiments JOIN users ON users.id = user_id"""


def create(
    db: Database, config: dict[str, Any], original: str, model_definition: bytes, user_id: int, parent_id: int | None
) -> int:
    """Store a new, paused experiment, whose search has not begun, and return its id."""
    experiment_id = db.insert(
        "experiments",
        state="PAUSED",
        **_described(config),
        original_config=original,
        user_id=user_id,
        job_id=str(uuid.uuid4()),
        parent_id=parent_id,
        start_time=now(),
    )
    db.insert("model_definitions", experiment_id=experiment_id, archive=model_definition)
    return experiment_id


def definition(db: Database, experiment_id: int) -> bytes:
    """Return the gzipped tar of the files that were submitted; raises NotFound."""
    select = "SELECT archive FROM model_definitions WHERE experiment_id = ?"
    return bytes(db.one(f"experiment {experiment_id}", select, experiment_id)["archive"])


def get(db: Database, experiment_id: int) -> Row:
    """Return an experiment with its counts; raises NotFound."""
    return db.one(f"experiment {experiment_id}", f"{_SELECT} WHERE experiments.id = ?", experiment_id)


def configuration(db: Database, experiment_id: int) -> dict[str, Any]:
    """Return an experiment's completed configuration; raises NotFound."""
    select = "SELECT config FROM experiments WHERE id = ?"
    config: dict[str, Any] = json.loads(db.one(f"experiment {experiment_id}", select, experiment_id)["config"])
    return config


def find(
    db: Database,
    *,
    archived: bool | None = None,
    users: Sequence[str] = (),
    labels: Sequence[str] = (),
    name: str = "",
    description: str = "",
    sort: str = "",
    descending: bool = False,
) -> list[Row]:
    """Return the experiments that match, by id unless `sort` (`SORT_BY_…`) says otherwise; what lacks it comes last.

    Raises InvalidArgument for another `sort`.
    """
    direction = "DESC" if descending else "ASC"
    column = order_by(_SORTS, sort)
    rows = [
        row
        for row in db.rows(f"{_SELECT} ORDER BY {column} {direction} NULLS LAST, experiments.id {direction}")
        if (archived is None or bool(row["archived"]) == archived)
        and (not users or row["username"].lower() in map(str.lower, users))
        and (not labels or set(labels) <= set(json.loads(row["labels"])))
        and name.lower() in row["name"].lower()
        and description.lower() in (row["description"] or "").lower()
    ]
    if sort != "SORT_BY_SEARCHER_METRIC_VAL":
        return rows
    ranked = overview.best_validations(db, [row["id"] for row in rows])
    best = {each["experiment_id"]: each["value"] for each in reversed(ranked)}
    return sorted(rows, key=lambda row: (row["id"] not in best, best.get(row["id"], 0) * (-1 if descending else 1)))


def in_states(db: Database, *states: str) -> list[int]:
    """Return the ids of the experiments in one of the states."""
    select = "SELECT id FROM experiments WHERE state IN (SELECT value FROM json_each(?))"
    return [row[0] for row in db.rows(select, dump(states))]


def set_state(db: Database, experiment_id: int, state: str) -> None:
    """Move to `state`; raises FailedPrecondition where the rules do not allow it."""
    current: str = get(db, experiment_id)["state"]
    if state == current:
        return
    if current in TERMINAL:
        raise FailedPrecondition(f"experiment {experiment_id} is in terminal state {current}")
    order = list(STOPPING)
    worse = [*order[order.index(current) + 1 :], STOPPING[current]] if current in STOPPING else ()
    if current == DELETING or (worse and state not in worse):
        raise FailedPrecondition(f"experiment {experiment_id} is in incompatible state {current}")
    ended = {"end_time": now()} if state in TERMINAL else {}
    done = {"progress": 1.0} if state == "COMPLETED" else {}
    db.update("experiments", "id", experiment_id, state=state, **ended, **done)


def reopen(db: Database, experiment_id: int, config: dict[str, Any]) -> None:
    """Make an experiment that has ended a paused one with a configuration that may differ."""
    db.update("experiments", "id", experiment_id, state="PAUSED", progress=0.0, end_time=None, **_described(config))


def _described(config: dict[str, Any]) -> dict[str, Any]:
    return {key: config.get(key) for key in ("name", "description", "labels")} | {"config": config}


def model_definition(files: Sequence[dict[str, Any]]) -> bytes:
    """Pack the uploaded files as the gzipped tar that trials unpack and users download.

    `files` are v1File objects: path, type (tar type flag's ordinal), content (base64), mode, mtime.  Raises
    InvalidArgument for a path that would leave the trial's directory, and for what is not of that form.
    """
    archive = io.BytesIO()
    with gzip.GzipFile(fileobj=archive, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for file in files:
            path = PurePosixPath(file.get("path") or "")
            if not path.parts:
                raise InvalidArgument("modelDefinition: a file without a path")
            if path.is_absolute() or ".." in path.parts:
                raise InvalidArgument(f"modelDefinition: the path {str(path)!r} leaves the model directory")
            entry = tarfile.TarInfo(str(path))
            try:
                entry.mode = int(file.get("mode") or 0) & 0o777 or 0o644
                entry.mtime = int(file.get("mtime") or 0)
            except (TypeError, ValueError) as error:
                raise InvalidArgument(f"modelDefinition: mode or mtime of {str(path)!r} is not a number") from error
            if file.get("type") == _DIRECTORY:
                entry.type, entry.mode = tarfile.DIRTYPE, entry.mode | 0o700
                tar.addfile(entry)
                continue
            if file.get("type", _FILE) != _FILE:
                raise InvalidArgument(f"modelDefinition: {str(path)!r} is neither a file nor a directory")
            try:
                content = base64.b64decode(file.get("content") or "", validate=True)
            except ValueError as error:
                raise InvalidArgument(f"modelDefinition: the content of {str(path)!r} is not base64") from error
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def patch(db: Database, experiment_id: int, changes: dict[str, Any]) -> None:
    """Set name, description, labels, notes where they are not None; raises NotFound, InvalidArgument."""
    config = configuration(db, experiment_id)
    columns = {key: changes[key] for key in ("name", "description", "notes") if changes.get(key) is not None}
    if not columns.get("name", "a name").strip():
        raise InvalidArgument("name: must not be empty or blank")
    if changes.get("labels") is not None:
        columns["labels"] = sorted(set(changes["labels"]))
    config |= {key: value for key, value in columns.items() if key != "notes"}
    db.update("experiments", "id", experiment_id, **columns, config=config)


def set_archived(db: Database, experiment_id: int, archived: bool) -> None:
    """Hide or show in lists; raises FailedPrecondition while the experiment runs, or where it is so already."""
    found = get(db, experiment_id)
    if found["state"] not in TERMINAL:
        raise FailedPrecondition(f"experiment {experiment_id} is not in terminal state but {found['state']}")
    if bool(found["archived"]) == archived:
        raise FailedPrecondition(f"experiment {experiment_id} is {'already' if archived else 'not'} archived")
    db.update("experiments", "id", experiment_id, archived=archived)
