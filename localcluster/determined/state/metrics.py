"""Metric reports of trials: appended, rolled back when a run resumes from an earlier step, and summarised."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from localcluster.determined.state.database import Database, Row, dump, now

TRAINING, VALIDATION = "training", "validation"


@dataclass(frozen=True)
class Report:
    """What a trial reported: group `name`, batches done, averages, and where given the values of single batches."""

    name: str
    steps: int
    average: dict[str, Any]
    batches: Sequence[Any] | None = None
    end_time: str | None = None


def add(db: Database, allocation: Row, report: Report) -> None:
    """Store one report; the first of a run archives what older runs did beyond the step it started from."""
    trial_id, run = allocation["trial_id"], allocation["run"]
    if run > 1 and not db.row("SELECT 1 FROM metrics WHERE trial_id = ? AND run = ? LIMIT 1", trial_id, run):
        archive = "UPDATE metrics SET archived = 1 WHERE trial_id = ? AND run < ? AND steps > ?"
        db.execute(archive, trial_id, run, allocation["resumed_steps"])
    db.insert(
        "metrics",
        trial_id=trial_id,
        run=run,
        name=report.name,
        steps=report.steps,
        average=report.average,
        batches=dump(list(report.batches)) if report.batches else None,
        end_time=report.end_time or now(),
    )


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
    row = db.row("SELECT max(steps) FROM metrics WHERE trial_id = ? AND NOT archived", trial_id)
    return (row[0] if row else 0) or 0


def latest_validation(db: Database, trial_id: int) -> Row | None:
    """Return the newest validation."""
    return db.row(
        "SELECT * FROM metrics WHERE trial_id = ? AND NOT archived AND name = ? ORDER BY steps DESC, id DESC LIMIT 1",
        trial_id,
        VALIDATION,
    )


def best_validation(db: Database, trial_id: int, metric: str, smaller_is_better: bool) -> Row | None:
    """Return the validation with the best finite value of `metric`."""
    candidates = [
        (value if smaller_is_better else -value, row["id"], row)
        for row in of_trial(db, trial_id, VALIDATION)
        if (value := number(json.loads(row["average"]).get(metric))) is not None
    ]
    return min(candidates)[2] if candidates else None


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
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def summary(db: Database, trial_id: int) -> dict[str, Any]:
    """Return count, sum, min, max, last and type of every metric by group, as the SDK's `summary_metrics`."""
    groups: dict[str, dict[str, Any]] = {}
    for row in of_trial(db, trial_id):
        group = groups.setdefault(group_key(row["name"]), {})
        for metric, raw in json.loads(row["average"]).items():
            value = number(raw)
            entry = group.setdefault(metric, {"type": "number" if value is not None else "string", "count": 0})
            entry["last"] = raw
            if value is None:
                continue
            entry["count"] += 1
            entry["sum"] = entry.get("sum", 0.0) + value
            entry["min"] = min(entry.get("min", value), value)
            entry["max"] = max(entry.get("max", value), value)
    return groups


def group_key(name: str) -> str:
    """Return the name under which clients look for a group's averages in summaries."""
    return {TRAINING: "avg_metrics", VALIDATION: "validation_metrics"}.get(name, name)
