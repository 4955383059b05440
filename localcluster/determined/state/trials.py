"""Trials and their allocations (one run of a trial's processes): states, restarts, what to resume from."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from localcluster.determined.errors import Unauthenticated
from localcluster.determined.state.database import Database, Row, now, stamp
from localcluster.determined.state.experiments import STOPPING, TERMINAL
from localcluster.determined.state.users import token_hash

RESTART_DELAYS = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds after the n-th run without a checkpoint; a script that cannot start does not spin through its restarts."""


def create(
    db: Database, experiment_id: int, number: int, hparams: dict[str, Any], seed: int, warm_start: str | None
) -> int:
    """Store trial `number` of an experiment and return its id."""
    return db.insert(
        "trials",
        experiment_id=experiment_id,
        number=number,
        task_id=f"{experiment_id}.{uuid.uuid4()}",
        state="ACTIVE",
        hparams=hparams,
        seed=seed,
        warm_start=warm_start,
        start_time=now(),
    )


def get(db: Database, trial_id: int) -> Row:
    """Return a trial with its live allocation's state (`allocated`) and the first's start (`began`), or NotFound."""
    return db.one(f"trial {trial_id}", f"{_SELECT} WHERE trials.id = ?", trial_id)


def of_experiment(db: Database, experiment_id: int) -> list[Row]:
    """Return an experiment's trials in the order of creation."""
    return db.rows(f"{_SELECT} WHERE experiment_id = ? ORDER BY trials.id", experiment_id)


_SELECT = """SELECT trials.*,
  (SELECT state FROM allocations WHERE trial_id = trials.id AND state != 'TERMINATED') AS allocated,
  (SELECT min(start_time) FROM allocations WHERE trial_id = trials.id) AS began
  FROM trials"""


def numbered(db: Database, experiment_id: int, number: int) -> Row | None:
    """Return the trial that the search calls `number`, None before it is created."""
    return db.row("SELECT * FROM trials WHERE experiment_id = ? AND number = ?", experiment_id, number)


def reopen(db: Database, trial: Row, hparams: dict[str, Any], seed: int) -> None:
    """Let a trial that has ended go on, paused, as a new task with all its restarts before it."""
    first, *_ = tasks = task_ids(trial)
    fresh = {"state": "PAUSED", "restarts": 0, "not_before": None, "invalid_hp": 0, "progress": 0.0, "end_time": None}
    task_id = f"{first}-{len(tasks)}"
    db.update("trials", "id", trial["id"], task_id=task_id, hparams=hparams, seed=seed, **fresh)


def task_ids(trial: Row) -> list[str]:
    """Return the ids of a trial's tasks: the first, and one with the suffix -1, -2 … for each time it was continued."""
    *uuid, continued = f"{trial['task_id']}-0".split("-")[:6]  # four dashes are the uuid's
    first = "-".join(uuid)
    return [first, *(f"{first}-{number}" for number in range(1, int(continued) + 1))]


def of_task(db: Database, task_id: str) -> Row:
    """Return the trial of a task; raises NotFound."""
    return db.one(f"task {task_id}", "SELECT * FROM trials WHERE task_id = ?", task_id)


def waiting(db: Database) -> list[Row]:
    """Return the trials that want slots now or later (`not_before`), oldest experiment first."""
    return db.rows(
        "SELECT trials.*, config, json_extract(config, '$.resources.slots_per_trial') AS slots,"
        " json_extract(config, '$.resources.max_slots') AS max_slots"
        " FROM trials JOIN experiments ON experiments.id = experiment_id"
        " WHERE trials.state = 'ACTIVE' AND experiments.state = 'ACTIVE' AND NOT EXISTS"
        " (SELECT 1 FROM allocations WHERE trial_id = trials.id AND allocations.state != 'TERMINATED')"
        " ORDER BY COALESCE(json_extract(config, '$.resources.priority'), 42), experiment_id, trials.id"
    )


def set_state(db: Database, trial_id: int, state: str) -> None:
    """Move a trial that has not ended to `state`; a stopping trial may only be killed or end."""
    current = get(db, trial_id)["state"]
    if current in TERMINAL or (current in STOPPING and state not in (*TERMINAL, "STOPPING_KILLED")):
        return
    ended = {"end_time": now()} if state in TERMINAL else {}
    db.update("trials", "id", trial_id, state=state, **ended)


def count_restart(db: Database, trial: Row) -> None:
    """Count a failed run; the more runs there were since the newest checkpoint, the later the next begins."""
    fruitless = db.value(
        "SELECT count(*) FROM allocations WHERE trial_id = ?1 AND run > (SELECT COALESCE(max(run), 0) FROM allocations"
        " JOIN checkpoints ON allocation_id = allocations.id WHERE checkpoints.trial_id = ?1)",
        trial["id"],
    )
    delay = RESTART_DELAYS[min(max(fruitless - 1, 0), len(RESTART_DELAYS) - 1)]
    not_before = stamp(datetime.now(UTC) + timedelta(seconds=delay))
    db.update("trials", "id", trial["id"], restarts=trial["restarts"] + 1, not_before=not_before)


def allocate(db: Database, trial: Row, slots: int) -> tuple[Row, str]:
    """Begin the trial's next run: its allocation and the token by which its processes are known."""
    run = trial["runs"] + 1
    token = secrets.token_urlsafe(32)
    allocation_id = f"{trial['task_id']}.{run}"
    latest = resume_point(db, trial)
    db.insert(
        "allocations",
        id=allocation_id,
        trial_id=trial["id"],
        run=run,
        token=token_hash(token),
        slots=slots,
        state="PULLING",
        resumed_steps=latest["steps"] if latest else 0,
        start_time=now(),
    )
    db.update("trials", "id", trial["id"], runs=run)
    return allocation(db, allocation_id), token


def resume_point(db: Database, trial: Row) -> Row | None:
    """Return the trial's newest complete checkpoint."""
    return db.row(
        "SELECT uuid, steps FROM checkpoints WHERE trial_id = ? AND state = 'COMPLETED'"
        " ORDER BY steps DESC, report_time DESC LIMIT 1",
        trial["id"],
    )


def allocation(db: Database, allocation_id: str) -> Row:
    """Return an allocation; raises NotFound."""
    return db.one(f"allocation {allocation_id}", "SELECT * FROM allocations WHERE id = ?", allocation_id)


def container_id(allocation_id: str) -> str:
    """Return the container id that users see in log lines: there is no container, so it names the run."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, allocation_id))


def allocations(db: Database, trial_id: int) -> list[Row]:
    """Return all runs of a trial."""
    return db.rows("SELECT * FROM allocations WHERE trial_id = ? ORDER BY run", trial_id)


def is_live(db: Database, allocation_id: str) -> bool:
    """Whether an allocation exists (its experiment may have been deleted) and runs."""
    return bool(db.value("SELECT 1 FROM allocations WHERE id = ? AND state != 'TERMINATED'", allocation_id))


def live_allocation(db: Database, trial_id: int) -> Row | None:
    """Return the allocation whose processes run, or None."""
    return db.row("SELECT * FROM allocations WHERE trial_id = ? AND state != 'TERMINATED'", trial_id)


def live_allocations(db: Database, experiment_id: int | None = None) -> list[Row]:
    """Return the allocations, of one experiment or of all, whose processes run, or ran when the master died."""
    return db.rows(
        "SELECT allocations.* FROM allocations JOIN trials ON trials.id = trial_id"
        " WHERE allocations.state != 'TERMINATED' AND (?1 IS NULL OR experiment_id = ?1)"
        " ORDER BY allocations.start_time",
        experiment_id,
    )


def of_token(db: Database, token: str) -> Row:
    """Return the allocation (with task and experiment) a token stands for; raises Unauthenticated."""
    found = db.row(
        "SELECT allocations.*, task_id, experiment_id, user_id FROM allocations"
        " JOIN trials ON trials.id = trial_id JOIN experiments ON experiments.id = experiment_id"
        " WHERE token = ? AND allocations.state != 'TERMINATED'",
        token_hash(token),
    )
    if found is None:
        raise Unauthenticated("the allocation's token is unknown or its allocation has ended")
    return found


def slots_used(db: Database, experiment_id: int | None = None) -> int:
    """Return the slots that live allocations hold, of one experiment or of all."""
    return sum(allocation["slots"] for allocation in live_allocations(db, experiment_id))
