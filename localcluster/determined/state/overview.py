"""What is asked about many trials at once; the pages ask from a connection of their own."""

from __future__ import annotations

import json
import math
import sqlite3
import sys
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
    alike: dict[tuple[str, bool], list[int]] = {}
    for row in experiments:
        searcher = json.loads(row["config"])["searcher"]
        alike.setdefault((searcher["metric"], searcher["smaller_is_better"]), []).append(row["id"])
    best: list[Best] = []
    for (metric, smaller), ids in alike.items():
        # SQLite takes the columns beside a lone min() or max() from the row that has it.
        pick, order = ("min", "ASC") if smaller else ("max", "DESC")
        rows = db.rows(
            f"SELECT experiment_id, trial_id, {pick}(metric.value) AS value, steps"  # noqa: S608
            " FROM metrics JOIN trials ON trials.id = trial_id, json_each(average) AS metric"
            f" WHERE experiment_id IN ({', '.join('?' * len(ids))}) AND NOT archived AND name = ? AND metric.key = ?"
            " AND metric.type IN ('integer', 'real') AND abs(metric.value) <= ?"
            f" GROUP BY trial_id ORDER BY value {order}, trial_id",
            *ids,
            metrics.VALIDATION,
            metric,
            sys.float_info.max,
        )
        best += [Best(**dict(row)) for row in rows]
    return best


def reports(db: Database, trial_ids: Sequence[int], points: int) -> list[Row]:
    """Return the current reports of trials by trial and step, thinned to about `points` of each kind a trial.

    The steps are cut into `points` stretches and the newest report of each stays.  Reports are of one kind where group,
    first metric and number of metrics are the same, so that a metric that is reported now and then is not lost.
    """
    current = f"FROM metrics WHERE trial_id IN ({', '.join('?' * len(trial_ids))}) AND NOT archived"
    last = db.rows(f"SELECT max(steps) {current}", *trial_ids)[0][0] or 0
    kind = "name, substr(average, 1, instr(average, ':')), length(average) - length(replace(average, ':', ''))"
    return db.rows(
        "SELECT trial_id, name, steps, average FROM metrics WHERE id IN"  # noqa: S608
        f" (SELECT max(id) {current} GROUP BY trial_id, {kind}, steps / ?) ORDER BY trial_id, steps, name",
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
