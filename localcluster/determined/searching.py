"""Between a stored experiment and its search: events in, decisions written down, all in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from localcluster.determined.errors import InvalidArgument
from localcluster.determined.searcher import Action, Create, Exit, Search, Shutdown, Stop
from localcluster.determined.state import checkpoints, experiments, trials
from localcluster.determined.state.database import Database

_OUTCOMES = {Exit.ERRORED: "STOPPING_ERROR", Exit.CANCELED: "STOPPING_CANCELED"}


def begin(db: Database, experiment_id: int, config: dict[str, Any], search: Search) -> None:
    """Store the first trials of a new experiment; raises NotFound, InvalidArgument for a warm start from nothing."""
    warm = _warm_start(db, config["searcher"])
    for action in search.start():
        if isinstance(action, Create):
            trials.create(db, experiment_id, action.index, action.hparams, action.seed, warm)
    experiments.save_search(db, experiment_id, search.snapshot(), 0.0)


def tell(db: Database, experiment_id: int, event: Callable[[Search], list[Action]]) -> None:
    """Give the search an event and store what it decides: new trials, trials to stop, the end.

    Raises ValueError where the search cannot use what a trial reported.
    """
    experiment = experiments.get(db, experiment_id)
    config = json.loads(experiment["config"])
    seed = config["reproducibility"]["experiment_seed"]
    state = json.loads(experiment["search"])
    search = Search.restored(config["searcher"], config["hyperparameters"], seed, state)
    actions = event(search)
    experiments.save_search(db, experiment_id, search.snapshot(), search.progress())
    if experiment["state"] not in ("ACTIVE", "PAUSED"):
        return
    for action in actions:
        if isinstance(action, Create):
            warm = _warm_start(db, config["searcher"])
            created = trials.create(db, experiment_id, action.index, action.hparams, action.seed, warm)
            trials.set_state(db, created, experiment["state"])
        elif isinstance(action, Stop):
            trials.set_state(db, trials.numbered(db, experiment_id, action.index)["id"], "STOPPING_COMPLETED")
        elif isinstance(action, Shutdown):
            experiments.set_state(db, experiment_id, _OUTCOMES.get(action.outcome, "STOPPING_COMPLETED"))


def _warm_start(db: Database, searcher: dict[str, Any]) -> str | None:
    if searcher.get("source_checkpoint_uuid"):
        return str(checkpoints.get(db, searcher["source_checkpoint_uuid"])["uuid"])
    if not searcher.get("source_trial_id"):
        return None
    source = trials.resume_point(db, trials.get(db, searcher["source_trial_id"]))
    if source is None:
        raise InvalidArgument(f"searcher.source_trial_id: trial {searcher['source_trial_id']} has no checkpoint")
    return str(source["uuid"])
