"""Snapshots of the searches, and how far experiments are."""

from __future__ import annotations

from typing import Any

from localcluster.determined.state.database import Database, Row, dump

_MEAN = """UPDATE experiments SET progress = (
  SELECT COALESCE(avg(CASE WHEN end_time IS NULL THEN progress ELSE 1 END), 0)
  FROM trials WHERE experiment_id = experiments.id AND NOT invalid_hp) WHERE id = ?"""


def get(db: Database, experiment_id: int) -> Row:
    """Return `id`, `state` and `config` of an experiment and the `snapshot` of its search; raises NotFound."""
    select = "SELECT id, state, config, snapshot FROM experiments JOIN searches ON experiment_id = id WHERE id = ?"
    return db.one(f"experiment {experiment_id}", select, experiment_id)


def save(db: Database, experiment_id: int, snapshot: dict[str, Any], progress: float | None) -> None:
    """Store a snapshot and the experiment's progress, None: the mean of its trials'."""
    db.execute("INSERT OR REPLACE INTO searches VALUES (?, ?)", experiment_id, dump(snapshot))
    if progress is None:
        db.execute(_MEAN, experiment_id)
    else:
        db.update("experiments", "id", experiment_id, progress=progress)


def report_progress(db: Database, trial: Row, fraction: float) -> None:
    """Store how far a trial is, 0 to 1; in a search without rungs its experiment is so much further, too."""
    unranked = "json_extract(config, '$.searcher.name') IN ('single', 'random', 'grid')"
    with db.transaction():
        db.update("trials", "id", trial["id"], progress=min(max(0.0, fraction), 1.0))  # 0 where it is no number
        db.execute(f"{_MEAN} AND {unranked}", trial["experiment_id"])
