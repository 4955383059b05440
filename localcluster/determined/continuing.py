"""`det experiment continue`: what may go on, and with which configuration."""

from __future__ import annotations

import json
from typing import Any

import yaml

from localcluster.determined.config import merge, read
from localcluster.determined.errors import FailedPrecondition, InvalidArgument
from localcluster.determined.state import experiments, trials
from localcluster.determined.state.database import Database


def require_continuable(db: Database, experiment_id: int) -> None:
    """Raise FailedPrecondition where the experiment still runs, or is a search with nothing left to do.

    A single trial may always go on; a search lets only those go on that did not complete.
    """
    experiment = experiments.get(db, experiment_id)
    if experiment["state"] not in experiments.TERMINAL:
        state = experiment["state"]
        raise FailedPrecondition(f"experiment {experiment_id} is in non terminal state {state}, try again later")
    single = json.loads(experiment["config"])["searcher"]["name"] == "single"
    completed = all(trial["state"] == "COMPLETED" for trial in trials.of_experiment(db, experiment_id))
    if experiment["state"] == "COMPLETED" and completed and not single:
        raise FailedPrecondition(
            f"experiment {experiment_id} has been completed, every trial of it: cannot continue it"
        )


def configuration(active: dict[str, Any], override: str) -> str:
    """Lay the YAML text `override` over the experiment's configuration; the result is still to be completed.

    As upstream: only `single`, `random` and `grid` experiments are continued, only `single` ones with changes, and the
    searcher's name, the project and the workspace cannot be changed.  Raises InvalidArgument naming the key.
    """
    name = active["searcher"]["name"]
    if name not in ("single", "random", "grid"):
        raise InvalidArgument(f"searcher.name: an experiment of type {name} cannot be continued")
    try:
        changes = read(override) or {}
    except yaml.YAMLError as error:
        raise InvalidArgument(f"overrideConfig: not YAML: {error}") from error
    if not isinstance(changes, dict):
        raise InvalidArgument("overrideConfig: must be a mapping of keys to values")
    if changes and name != "single":
        raise InvalidArgument(f"overrideConfig: only a single searcher's experiment takes changes, not {name}")
    if fixed := [key for key in ("project", "workspace") if key in changes]:
        raise InvalidArgument(f"{' and '.join(fixed)}: cannot be changed by an override configuration")
    merged = merge(active, changes)
    searcher = merged["searcher"]
    if not isinstance(searcher, dict) or searcher.get("name") != name:
        raise InvalidArgument(f"searcher.name: must stay {name} in an override configuration")
    return json.dumps(merged)
