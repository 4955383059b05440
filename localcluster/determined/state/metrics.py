"""Metric reports of trials: appended, rolled back when a run resumes from an earlier step, and summarised."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from localcluster.determined.state.database import Database, Row, dump, now

TRAINING, VALIDATION = "training", "validation"
_NUMBERS = ("integer", "real")


@dataclass(frozen=True)
class Report:
    """What a trial reported: group `name`, batches done, averages, and where given the values of single batches."""

    name: str
    steps: int
    average: dict[str, Any]
    batches: Sequence[Any] | None = None
    end_time: str | None = None


def add(db: Database, allocation: Row, report: Report) -> bool:
    """Store one report; the first of a run archives what older runs did beyond the step it started from.

    A second report of a group at the same step is merged into the first, as upstream; returns whether it is the first.
    So a report is stored once, however often a trial repeats it because a killed master did not answer.
    """
    trial_id, run = allocation["trial_id"], allocation["run"]
    if run > 1 and not db.row("SELECT 1 FROM metrics WHERE trial_id = ? AND run = ? LIMIT 1", trial_id, run):
        archive = "UPDATE metrics SET archived = 1 WHERE trial_id = ? AND run < ? AND steps > ?"
        db.execute(archive, trial_id, run, allocation["resumed_steps"])
    same = "SELECT id, run, average FROM metrics WHERE trial_id = ? AND NOT archived AND name = ? AND steps = ?"
    known = db.row(same, trial_id, report.name, report.steps)
    if known and known["run"] == run:
        db.update("metrics", "id", known["id"], average=json.loads(known["average"]) | finite(report.average))
        return False
    if known:
        db.update("metrics", "id", known["id"], archived=1)
    db.insert(
        "metrics",
        trial_id=trial_id,
        run=run,
        name=report.name,
        steps=report.steps,
        average=finite(report.average),
        batches=dump(finite(list(report.batches))) if report.batches else None,
        end_time=report.end_time or now(),
    )
    return True


def finite(value: Any) -> Any:
    """Return `value` with NaN and infinities as the strings of the API: JSON lacks them, SQLite refuses them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list) else value


def of_trial(db: Database, trial_id: int, name: str | None = None, after: int = 0, limit: int = -1) -> list[Row]:
    """Return a trial's current reports with ids beyond `after`, of one group or of all, in the order of arrival."""
    return db.rows(
        "SELECT * FROM metrics WHERE trial_id = ?1 AND NOT archived AND (?2 IS NULL OR name = ?2) AND id > ?3"
        " ORDER BY id LIMIT ?4",
        trial_id,
        name,
        after,
        limit,
    )


def steps(db: Database, trial_id: int) -> int:
    """Return how many batches the trial has done."""
    return db.value("SELECT max(steps) FROM metrics WHERE trial_id = ? AND NOT archived", trial_id) or 0


def latest_validation(db: Database, trial_id: int) -> Row | None:
    """Return the newest validation."""
    return db.row(
        "SELECT * FROM metrics WHERE trial_id = ? AND NOT archived AND name = ? ORDER BY steps DESC, id DESC LIMIT 1",
        trial_id,
        VALIDATION,
    )


def best_validation(db: Database, trial_id: int, metric: str, smaller_is_better: bool) -> Row | None:
    """Return the validation with the best finite value of `metric`."""
    return db.row(
        "SELECT metrics.* FROM metrics, json_each(average) AS metric"  # noqa: S608
        " WHERE trial_id = ? AND NOT archived AND name = ? AND metric.key = ? AND metric.type IN ('integer', 'real')"
        f" ORDER BY metric.value {'ASC' if smaller_is_better else 'DESC'}, metrics.id LIMIT 1",
        trial_id,
        VALIDATION,
        metric,
    )


def at(db: Database, trial_id: int, name: str, steps: int) -> dict[str, Any] | None:
    """Return the averages that group `name` reported at `steps`."""
    row = db.row(
        "SELECT average FROM metrics WHERE trial_id = ? AND NOT archived AND name = ? AND steps = ? ORDER BY id DESC",
        trial_id,
        name,
        steps,
    )
    return json.loads(row["average"]) if row else None


def number(value: Any) -> float | None:
    """Return a finite number, None for anything else."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if real and abs(value) <= sys.float_info.max else None


def summary(db: Database, trial_id: int) -> dict[str, Any]:
    """Return count, sum, min, max, last and type of every metric by group, as the SDK's `summary_metrics`.

    Computed by SQLite: a trial may have made tens of thousands of reports, and its page asks every few seconds.
    """
    reports = "FROM metrics, json_each(average) AS metric WHERE trial_id = ? AND NOT archived"
    groups: dict[str, dict[str, Any]] = {}
    # SQLite takes the columns beside a lone max() from the row that has it: the newest report of each metric.
    for row in db.rows(
        f"SELECT name, metric.key, metric.type, metric.value, max(metrics.id) {reports} GROUP BY 1, 2",
        trial_id,
    ):
        entry = {"type": "number" if row["type"] in _NUMBERS else "string", "count": 0, "last": row["value"]}
        groups.setdefault(group_key(row["name"]), {})[row["key"]] = entry
    for row in db.rows(
        "SELECT name, metric.key, count(*) AS count, sum(metric.value) AS sum, min(metric.value) AS min,"
        f" max(metric.value) AS max {reports} AND metric.type IN ('integer', 'real') GROUP BY 1, 2",
        trial_id,
    ):
        values = {column: row[column] for column in ("count", "sum", "min", "max")}
        groups[group_key(row["name"])][row["key"]].update(values)
    return groups


def group_key(name: str) -> str:
    """Return the name under which clients look for a group's averages in summaries."""
    return {TRAINING: "avg_metrics", VALIDATION: "validation_metrics"}.get(name, name)
