"""What is asked about many trials at once; the pages ask from a connection of their own."""

from __future__ import annotations

import json
import math
import sqlite3
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

from localcluster.determined.state import metrics
from localcluster.determined.state.database import Database, Row, dump, order_by


class Snapshot(Database):
    """The database as it is at one moment, read-only: however long a page takes, the master does not wait for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("BEGIN")


def best_validations(db: Database, experiment_ids: Sequence[int]) -> list[Row]:
    """Return the best validation of every trial of the experiments that has one, the best trials first.

    As experiment_id, trial_id, the `value` of the searcher's metric, and the `steps` at which it was reached.
    """
    # SQLite takes the columns beside a lone min() from the row that has it.
    return db.rows(
        "SELECT experiment_id, trial_id, least * sign AS value, steps FROM"
        " (SELECT experiment_id, trial_id, min(metric.value * sign) AS least, sign, steps FROM"
        " (SELECT id, json_extract(config, '$.searcher.metric') AS wanted,"
        " iif(json_extract(config, '$.searcher.smaller_is_better'), 1, -1) AS sign"
        " FROM experiments WHERE id IN (SELECT value FROM json_each(?))) AS searched"
        " CROSS JOIN trials ON experiment_id = searched.id CROSS JOIN metrics ON trial_id = trials.id"
        " CROSS JOIN json_each(average) AS metric WHERE NOT archived AND name = ? AND metric.key = wanted"
        " AND metric.type IN ('integer', 'real') AND abs(metric.value) <= ? GROUP BY trial_id)"
        " ORDER BY least, trial_id",
        dump(experiment_ids),
        metrics.VALIDATION,
        sys.float_info.max,
    )


def sorted_trials(
    db: Database, rows: Sequence[Row], searcher: dict[str, Any], sort: str, descending: bool
) -> list[Row]:
    """Sort the trials of one experiment by `SORT_BY_…`, those without the value last, and first where descending.

    Metrics count with the sign that makes smaller better, as upstream.  Raises InvalidArgument for another `sort`.
    """
    metric, smaller = searcher["metric"], searcher["smaller_is_better"]

    def signed(validation: Row | None) -> float | None:
        value = metrics.number(json.loads(validation["average"]).get(metric)) if validation else None
        return value if value is None or smaller else -value

    def duration(row: Row) -> timedelta:
        end = datetime.fromisoformat(row["end_time"]) if row["end_time"] else datetime.now(UTC)
        return end - datetime.fromisoformat(row["start_time"])

    size = (
        "SELECT COALESCE(sum(size.value), 0) FROM checkpoints, json_each(resources) AS size"
        " WHERE trial_id = ? AND state = 'COMPLETED'"
    )
    keys: dict[str, Callable[[Row], Any]] = {
        **dict.fromkeys(("", "SORT_BY_UNSPECIFIED"), lambda row: row["id"]),
        **{
            f"SORT_BY_{name.upper()}": itemgetter(name)
            for name in ("id", "start_time", "end_time", "state", "restarts")
        },
        "SORT_BY_BEST_VALIDATION_METRIC": lambda row: signed(metrics.best_validation(db, row["id"], metric, smaller)),
        "SORT_BY_LATEST_VALIDATION_METRIC": lambda row: signed(metrics.latest_validation(db, row["id"])),
        "SORT_BY_BATCHES_PROCESSED": lambda row: metrics.steps(db, row["id"]),
        "SORT_BY_DURATION": duration,
        "SORT_BY_CHECKPOINT_SIZE": lambda row: db.value(size, row["id"]),
        "SORT_BY_LOG_RETENTION_DAYS": lambda _: None,  # logs are kept
    }
    key = order_by(keys, sort)

    def place(row: Row) -> tuple[bool, Any, int]:
        value = key(row)
        return value is None, value, row["id"]

    return sorted(rows, key=place, reverse=descending)


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
