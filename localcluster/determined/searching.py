"""Between a stored experiment and its search: events in, decisions written down, all in the caller's transaction."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from localcluster.determined.errors import InvalidArgument
from localcluster.determined.searcher import Action, Create, Exit, Search, Shutdown, Stop
from localcluster.determined.state import checkpoints, experiments, searches, trials
from localcluster.determined.state.database import Database, Row

_OUTCOMES = {Exit.ERRORED: "STOPPING_ERROR", Exit.CANCELED: "STOPPING_CANCELED"}


def begin(db: Database, experiment_id: int, search: Search) -> None:
    """Store what a search begins with.

    In an experiment that is continued, trials that are there already go on, and those that completed count as such.
    Raises NotFound, InvalidArgument for a warm start from nothing.
    """
    _decide(db, experiments.get(db, experiment_id), search, search.start())


def tell(db: Database, experiment_id: int, event: Callable[[Search], list[Action]]) -> bool:
    """Give the search an event, store what it decides (new trials, trials to stop, the end) and whether it did.

    An experiment that is being ended asks its search no more.  Raises ValueError where the search cannot use what a
    trial reported.
    """
    experiment = searches.get(db, experiment_id)
    if experiment["state"] not in ("ACTIVE", "PAUSED"):
        return False
    search = _restored(experiment)
    actions = event(search)
    _decide(db, experiment, search, actions)
    return bool(actions)


def rungs(db: Database, experiment_id: int) -> list[list[dict[str, Any]]]:
    """Return `Search.rungs` with the trials' ids for their indexes; raises NotFound."""
    found = _restored(searches.get(db, experiment_id)).rungs()
    made = db.rows("SELECT number, id FROM trials WHERE experiment_id = ?", experiment_id)
    ids = {row["number"]: row["id"] for row in made}
    for rung in (rung for bracket in found for rung in bracket):
        rung["entries"] = [{**entry, "trial": ids[entry["trial"]]} for entry in rung["entries"]]
    return found


def _restored(experiment: Row) -> Search:
    config, snapshot = json.loads(experiment["config"]), json.loads(experiment["snapshot"])
    seed = config["reproducibility"]["experiment_seed"]
    return Search.restored(config["searcher"], config["hyperparameters"], seed, snapshot)


def _decide(db: Database, experiment: Row, search: Search, actions: list[Action]) -> None:
    queue = deque(actions)
    while queue:
        action = queue.popleft()
        if isinstance(action, Create):
            queue.extend(_open(db, experiment, search, action))
        elif isinstance(action, Stop) and (trial := trials.numbered(db, experiment["id"], action.index)):
            trials.set_state(db, trial["id"], "STOPPING_COMPLETED")
        elif isinstance(action, Shutdown):
            experiments.set_state(db, experiment["id"], _OUTCOMES.get(action.outcome, "STOPPING_COMPLETED"))
    searches.save(db, experiment["id"], search.snapshot(), search.progress())


def _open(db: Database, experiment: Row, search: Search, action: Create) -> list[Action]:
    trial = trials.numbered(db, experiment["id"], action.index)
    searcher = json.loads(experiment["config"])["searcher"]
    if trial is None:
        warm = _warm_start(db, searcher)
        trial_id = trials.create(db, experiment["id"], action.index, action.hparams, action.seed, warm)
    elif trial["state"] == "COMPLETED" and searcher["name"] != "single":
        return search.exited(action.index, Exit.COMPLETED)
    else:
        trial_id = trial["id"]
        trials.reopen(db, trial, action.hparams, action.seed)
    trials.set_state(db, trial_id, experiment["state"])
    return []


def _warm_start(db: Database, searcher: dict[str, Any]) -> str | None:
    if searcher.get("source_checkpoint_uuid"):
        return str(checkpoints.get(db, searcher["source_checkpoint_uuid"])["uuid"])
    if not searcher.get("source_trial_id"):
        return None
    source = trials.resume_point(db, trials.get(db, searcher["source_trial_id"]))
    if source is None:
        raise InvalidArgument(f"searcher.source_trial_id: trial {searcher['source_trial_id']} has no checkpoint")
    return str(source["uuid"])
