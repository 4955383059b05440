"""Experiments: submit, list, look, steer."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from localcluster.determined import wire
from localcluster.determined.errors import NotFound
from localcluster.determined.routes.http import Call, served
from localcluster.determined.state import checkpoints, experiments, metrics, overview, trials
from localcluster.determined.state.database import Row

_POLICY = ("save_experiment_best", "save_trial_best", "save_trial_latest")
_ID_FILTERS: dict[str, Callable[[int, list[int]], bool]] = {
    "gt": lambda number, given: number > given[-1],
    "gte": lambda number, given: number >= given[-1],
    "lt": lambda number, given: number < given[-1],
    "lte": lambda number, given: number <= given[-1],
    "incl": lambda number, given: number in given,
    "notIn": lambda number, given: number not in given,
}
_PATCHABLE = {"checkpointStorage": _POLICY, "resources": ("max_slots", "weight", "priority")}


def create(call: Call) -> dict[str, Any]:
    """v1CreateExperimentRequest."""
    experiment_id, config = call.master.create_experiment(call.body, call.caller.user)
    unstored = wire.unstored_experiment(config, call.caller.user["username"])
    shaped = _shaped(call, experiment_id) if experiment_id else unstored
    return {"experiment": shaped, "config": config, "warnings": []}


def continue_experiment(call: Call) -> dict[str, Any]:
    """v1ContinueExperimentRequest."""
    experiment_id = call.field("id", int)
    call.master.continue_experiment(experiment_id, call.body.get("overrideConfig") or "")
    return {"experiment": _shaped(call, experiment_id), "warnings": []}


def find(call: Call) -> dict[str, Any]:
    """v1GetExperimentsResponse."""
    if call.integer("projectId") not in (0, wire.PROJECT_ID):
        raise NotFound(f"project {call.integer('projectId')} not found: the only one here is {wire.PROJECT_ID}")
    found = experiments.find(
        call.db,
        archived=call.flag("archived"),
        users=call.query.getlist("users"),
        labels=call.query.getlist("labels"),
        name=call.query.get("name", ""),
        description=call.query.get("description", ""),
        sort=call.query.get("sortBy", ""),
        descending=bool(call.descending),
    )
    wanted = _in_states(call, _numbered(call, found), lambda row: {wire.display_state(row), f"STATE_{row['state']}"})
    return call.page("experiments", wanted, lambda row: wire.experiment(row, full=False), beyond=True)


def _numbered(call: Call, rows: list[Row]) -> list[Row]:
    """Return the experiments whose ids and users' ids are those that the query asks for."""
    asked = [(test, call.integers(f"experimentIdFilter.{name}")) for name, test in _ID_FILTERS.items()]
    users = call.integers("userIds")
    return [
        row
        for row in rows
        if all(test(row["id"], numbers) for test, numbers in asked if numbers)
        and (not users or row["user_id"] in users)
    ]


def get(call: Call) -> dict[str, Any]:
    """v1GetExperimentResponse."""
    row = experiments.get(call.db, call.key())
    return {"experiment": wire.experiment(row), "config": json.loads(row["config"])}


def list_trials(call: Call) -> dict[str, Any]:
    """v1GetExperimentTrialsResponse."""
    config = experiments.configuration(call.db, call.key())
    rows = _in_states(call, trials.of_experiment(call.db, call.key()), lambda row: {wire.display_state(row)})
    rows = overview.sorted_trials(
        call.db, rows, config["searcher"], call.query.get("sortBy", ""), bool(call.descending)
    )
    return call.page("trials", rows, lambda row: wire.trial(call.db, row, config), beyond=True)


def checkpoint_page(call: Call, rows: list[Row]) -> dict[str, Any]:
    """Return checkpoints in the order and of the states that the query asks for."""
    rows = checkpoints.ordered(
        call.db,
        _in_states(call, rows, lambda row: {f"STATE_{row['state']}"}),
        attribute=call.query.get("sortByAttr", ""),
        by_metric=call.query.get("sortByMetric", ""),
        descending=call.descending,
    )
    return call.page("checkpoints", rows, lambda row: wire.checkpoint(call.db, row))


def best_validation(call: Call) -> dict[str, Any]:
    """The best value of the searcher's metric so far; 404 before the first."""
    best = overview.best_validations(call.db, [experiments.get(call.db, call.key())["id"]])
    if not best:
        raise NotFound(f"experiment {call.key()} has no validation yet")
    return {"metric": best[0]["value"]}


def patch(call: Call) -> dict[str, Any]:
    """v1PatchExperiment."""
    changes = {name: call.body.get(name) for name in ("name", "description", "labels", "notes")}
    for section, names in _PATCHABLE.items():
        given = {_snake(name): value for name, value in (call.body.get(section) or {}).items()}
        changes[_snake(section)] = {name: given[name] for name in names if name in given}
    call.master.patch_experiment(call.key(), changes)
    return {"experiment": _shaped(call, call.key())}


def definition(call: Call, experiment_id: int) -> dict[str, Any]:
    """v1GetModelDefResponse: the gzipped tar of what was submitted."""
    return {"b64Tgz": base64.b64encode(experiments.definition(call.db, experiment_id)).decode()}


def preview_garbage(call: Call) -> dict[str, Any]:
    """What `det experiment set gc-policy` shows before it asks: a raw path, with names of Go fields."""
    config = experiments.configuration(call.db, call.key())
    policy = {name: call.integer(name) for name in _POLICY}
    rows = [checkpoints.get(call.db, name) for name in checkpoints.expendable(call.db, call.key(), policy)]
    shaped = [
        {
            "UUID": row["uuid"],
            "TrialID": row["trial_id"],
            "StepsCompleted": row["steps"],
            "State": row["state"],
            "ReportTime": row["report_time"],
            "Resources": json.loads(row["resources"]),
            "ValidationMetrics": metrics.at(call.db, row["trial_id"], metrics.VALIDATION, row["steps"]),
        }
        for row in rows
    ]
    return {"checkpoints": shaped, "metric_name": config["searcher"]["metric"]}


def set_label(call: Call) -> dict[str, Any]:
    """Add (PUT) or remove (DELETE) one label."""
    labels, label = set(json.loads(experiments.get(call.db, call.key())["labels"])), {call.path["label"]}
    changed = sorted(labels | label if call.request.method == "PUT" else labels - label)
    experiments.patch(call.db, call.key(), {"labels": changed})
    return {"labels": changed}


def _shaped(call: Call, experiment_id: int) -> dict[str, Any]:
    return wire.experiment(experiments.get(call.db, experiment_id))


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)


def _in_states(call: Call, rows: list[Row], states: Callable[[Row], set[str]]) -> list[Row]:
    wanted = set(call.query.getlist("states"))
    return [row for row in rows if not wanted or wanted & states(row)]


_EXPERIMENT = "/api/v1/experiments/{id}"
ROUTES = served(
    {
        "GET /api/v1/experiments": find,
        "POST /api/v1/experiments": create,
        "POST /api/v1/experiments/continue": continue_experiment,
        f"GET {_EXPERIMENT}": get,
        f"PATCH {_EXPERIMENT}": patch,
        f"DELETE {_EXPERIMENT}": lambda call: call.master.delete(call.key()),
        f"GET {_EXPERIMENT}/trials": list_trials,
        f"GET {_EXPERIMENT}/checkpoints": lambda call: checkpoint_page(
            call, checkpoints.find(call.db, experiment_id=experiments.get(call.db, call.key())["id"])
        ),
        f"GET {_EXPERIMENT}/model_def": lambda call: definition(call, call.key()),
        f"GET {_EXPERIMENT}/searcher/best_searcher_validation_metric": best_validation,
        f"PUT {_EXPERIMENT}/labels/{{label:path}}": set_label,
        f"DELETE {_EXPERIMENT}/labels/{{label:path}}": set_label,
        f"POST {_EXPERIMENT}/activate": lambda call: call.master.steer(call.key(), "ACTIVE"),
        f"POST {_EXPERIMENT}/pause": lambda call: call.master.steer(call.key(), "PAUSED"),
        f"POST {_EXPERIMENT}/cancel": lambda call: call.master.steer(call.key(), "STOPPING_CANCELED"),
        f"POST {_EXPERIMENT}/kill": lambda call: call.master.steer(call.key(), "STOPPING_KILLED"),
        f"POST {_EXPERIMENT}/archive": lambda call: experiments.set_archived(call.db, call.key(), archived=True),
        f"POST {_EXPERIMENT}/unarchive": lambda call: experiments.set_archived(call.db, call.key(), archived=False),
        "GET /experiments/{id}/preview_gc": preview_garbage,
    }
)
