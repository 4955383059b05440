"""What the pages ask about many trials at once, from a connection of their own."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster.determined.state import metrics
from localcluster.determined.state.database import Database, Row


class Snapshot(Database):
    """The database as it is at one moment, read-only: however long a page takes, the master does not wait for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("BEGIN")


@dataclass(frozen=True)
class Best:
    """The best value that a trial's validations have of the searcher's metric, and the step it was reached at."""

    experiment_id: int
    trial_id: int
    value: float
    steps: int


def best_validations(db: Database, experiments: Sequence[Row]) -> list[Best]:
    """Return the best validation of every trial of the experiments that has one, the best trials first."""
    searchers = {row["id"]: json.loads(row["config"])["searcher"] for row in experiments}
    rows = db.rows(
        "SELECT experiment_id, trial_id, steps, average FROM metrics JOIN trials ON trials.id = trial_id"  # noqa: S608
        f" WHERE experiment_id IN ({', '.join('?' * len(searchers))}) AND NOT archived AND name = ?",
        *searchers,
        metrics.VALIDATION,
    )
    best: dict[int, tuple[float, Best]] = {}
    for row in rows:
        searcher = searchers[row["experiment_id"]]
        value = metrics.number(json.loads(row["average"]).get(searcher["metric"]))
        if value is not None:
            cost = value if searcher["smaller_is_better"] else -value
            if row["trial_id"] not in best or cost < best[row["trial_id"]][0]:
                found = Best(row["experiment_id"], row["trial_id"], value, row["steps"])
                best[row["trial_id"]] = cost, found
    return [found for _, found in sorted(best.values(), key=lambda item: (item[0], item[1].trial_id))]


def reports(db: Database, trial_ids: Sequence[int], points: int) -> list[Row]:
    """Return the current reports of trials by trial and step, thinned to about `points` of each kind a trial.

    The steps are cut into `points` stretches and the newest report of each stays.  Reports are of one kind where group
    and first metric are the same, so that a metric that is reported now and then is not lost among others.
    """
    current = f"FROM metrics WHERE trial_id IN ({', '.join('?' * len(trial_ids))}) AND NOT archived"
    last = db.rows(f"SELECT max(steps) {current}", *trial_ids)[0][0] or 0
    return db.rows(
        "SELECT trial_id, name, steps, average FROM metrics WHERE id IN"  # noqa: S608
        f" (SELECT max(id) {current} GROUP BY trial_id, name, steps / ?, substr(average, 1, instr(average, ':')))"
        " ORDER BY trial_id, steps, name",
        *trial_ids,
        math.ceil((last + 1) / points),
    )


def registered(db: Database, experiment_id: int) -> list[Row]:
    """Return uuid, model name and version of the experiment's checkpoints that the model registry holds."""
    return db.rows(
        "SELECT uuid, models.name, version FROM checkpoints JOIN trials ON trials.id = trial_id"
        " JOIN model_versions ON checkpoint_uuid = uuid JOIN models ON models.id = model_id"
        " WHERE experiment_id = ? ORDER BY models.name, version",
        experiment_id,
    )
