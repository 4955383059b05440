"""Experiments: submit, list, look, steer."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcluster.determined import wire
from localcluster.determined.errors import NotFound
from localcluster.determined.master import Master
from localcluster.determined.routes.http import (
    answer,
    body,
    caller,
    descending,
    field,
    flag,
    integer,
    key,
    master,
    pages,
)
from localcluster.determined.state import checkpoints, experiments, metrics, trials

_POLICY = {
    "saveExperimentBest": "save_experiment_best",
    "saveTrialBest": "save_trial_best",
    "saveTrialLatest": "save_trial_latest",
}
_RESOURCES = {"maxSlots": "max_slots", "weight": "weight", "priority": "priority"}


async def create(request: Request) -> Response:
    """v1CreateExperimentRequest."""
    found = master(request)
    experiment_id, config = found.create_experiment(await body(request), caller(request).user)
    if experiment_id:
        shaped = wire.experiment(experiments.get(found.db, experiment_id))
    else:
        shaped = _validated(config, caller(request).user["username"])
    return answer({"experiment": shaped, "config": config, "warnings": []})


async def continue_experiment(request: Request) -> Response:
    """v1ContinueExperimentRequest."""
    found = master(request)
    values = await body(request)
    experiment_id = field(values, "id", int)
    found.continue_experiment(experiment_id, values.get("overrideConfig") or "")
    return answer({"experiment": wire.experiment(experiments.get(found.db, experiment_id)), "warnings": []})


async def find(request: Request) -> Response:
    """v1GetExperimentsResponse."""
    query = request.query_params
    found = experiments.find(
        master(request).db,
        archived=flag(request, "archived"),
        users=query.getlist("users"),
        labels=query.getlist("labels"),
        name=query.get("name", ""),
        sort=query.get("sortBy", ""),
        descending=bool(descending(request)),
    )
    states = query.getlist("states")
    wanted = [
        row for row in found if not states or wire.display_state(row) in states or f"STATE_{row['state']}" in states
    ]
    items, pagination = pages(request, wanted)
    return answer({"experiments": [wire.experiment(row, full=False) for row in items], "pagination": pagination})


async def get(request: Request) -> Response:
    """v1GetExperimentResponse."""
    row = experiments.get(master(request).db, key(request))
    return answer({"experiment": wire.experiment(row), "config": json.loads(row["config"])})


async def list_trials(request: Request) -> Response:
    """v1GetExperimentTrialsResponse."""
    db = master(request).db
    config = json.loads(experiments.get(db, key(request))["config"])
    rows = trials.of_experiment(db, key(request))
    states = request.query_params.getlist("states")
    rows = [row for row in rows if not states or wire.display_state(row) in states]
    items, pagination = pages(request, rows[::-1] if descending(request) else rows)
    return answer({"trials": [wire.trial(db, row, config) for row in items], "pagination": pagination})


async def list_checkpoints(request: Request) -> Response:
    """v1GetExperimentCheckpointsResponse."""
    db = master(request).db
    experiments.get(db, key(request))
    return checkpoint_page(request, checkpoints.find(db, experiment_id=key(request)))


def checkpoint_page(request: Request, rows: list[Any]) -> Response:
    """Answer with checkpoints in the order and of the states that the query asks for."""
    db = master(request).db
    query = request.query_params
    states = query.getlist("states")
    rows = [row for row in rows if not states or f"STATE_{row['state']}" in states]
    rows = checkpoints.ordered(
        db,
        rows,
        attribute=query.get("sortByAttr", ""),
        by_metric=query.get("sortByMetric", ""),
        descending=descending(request),
    )
    items, pagination = pages(request, rows)
    return answer({"checkpoints": [wire.checkpoint(db, row) for row in items], "pagination": pagination})


async def model_definition(request: Request) -> Response:
    """v1GetModelDefResponse."""
    return answer({"b64Tgz": base64.b64encode(experiments.definition(master(request).db, key(request))).decode()})


async def best_validation(request: Request) -> Response:
    """The best value of the searcher's metric so far; 404 before the first."""
    db = master(request).db
    searcher = json.loads(experiments.get(db, key(request))["config"])["searcher"]
    metric, smaller = searcher["metric"], searcher["smaller_is_better"]
    best = [
        json.loads(row["average"])[metric]
        for trial in trials.of_experiment(db, key(request))
        if (row := metrics.best_validation(db, trial["id"], metric, smaller))
    ]
    if not best:
        raise NotFound(f"experiment {key(request)} has no validation yet")
    return answer({"metric": min(best) if smaller else max(best)})


async def patch(request: Request) -> Response:
    """v1PatchExperiment."""
    found = master(request)
    values = await body(request)
    changes = {name: values.get(name) for name in ("name", "description", "labels", "notes")}
    storage = values.get("checkpointStorage")
    if storage is not None:
        changes["checkpoint_storage"] = {new: storage[old] for old, new in _POLICY.items() if old in storage}
    resources = values.get("resources") or {}
    changes["resources"] = {new: resources[old] for old, new in _RESOURCES.items() if old in resources}
    found.patch_experiment(key(request), changes)
    return answer({"experiment": wire.experiment(experiments.get(found.db, key(request)))})


async def preview_garbage(request: Request) -> Response:
    """What `det experiment set gc-policy` shows before it asks: a raw path, with names of Go fields."""
    db = master(request).db
    config = json.loads(experiments.get(db, key(request))["config"])
    policy = {name: integer(request, name) or 0 for name in _POLICY.values()}
    rows = [checkpoints.get(db, name) for name in checkpoints.expendable(db, key(request), policy)]
    shaped = [
        {
            "UUID": row["uuid"],
            "TrialID": row["trial_id"],
            "StepsCompleted": row["steps"],
            "State": row["state"],
            "ReportTime": row["report_time"],
            "Resources": json.loads(row["resources"]),
            "ValidationMetrics": metrics.at(db, row["trial_id"], metrics.VALIDATION, row["steps"]),
        }
        for row in rows
    ]
    return answer({"checkpoints": shaped, "metric_name": config["searcher"]["metric"]})


async def set_label(request: Request) -> Response:
    """Add (PUT) or remove (DELETE) one label."""
    db = master(request).db
    labels = set(json.loads(experiments.get(db, key(request))["labels"]))
    label = request.path_params["label"]
    changed = labels | {label} if request.method == "PUT" else labels - {label}
    with db.transaction():
        experiments.patch(db, key(request), {"labels": sorted(changed)})
    return answer({"labels": sorted(changed)})


async def delete(request: Request) -> Response:
    """Delete an experiment that has ended."""
    await master(request).delete(key(request))
    return answer()


def _verb(act: Callable[[Master, int], None]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        experiments.get(master(request).db, key(request))
        act(master(request), key(request))
        return answer()

    return endpoint


def _validated(config: dict[str, Any], username: str) -> dict[str, Any]:
    """Return the experiment of a `validateOnly` request, which is stored nowhere."""
    return {
        "id": 0,
        "state": "STATE_UNSPECIFIED",
        "name": config["name"],
        "archived": False,
        "config": config,
        "originalConfig": "",
        "jobId": "",
        "numTrials": 0,
        "projectId": 1,
        "projectOwnerId": 1,
        "searcherType": config["searcher"]["name"],
        "startTime": "1970-01-01T00:00:00Z",
        "username": username,
    }


_VERBS: dict[str, Callable[[Master, int], None]] = {
    "activate": Master.activate,
    "pause": Master.pause,
    "cancel": Master.cancel,
    "kill": Master.kill,
    "archive": lambda found, number: experiments.set_archived(found.db, number, archived=True),
    "unarchive": lambda found, number: experiments.set_archived(found.db, number, archived=False),
}

ROUTES = [
    Route("/api/v1/experiments", find),
    Route("/api/v1/experiments", create, methods=["POST"]),
    Route("/api/v1/experiments/continue", continue_experiment, methods=["POST"]),
    Route("/api/v1/experiments/{id}", get),
    Route("/api/v1/experiments/{id}", patch, methods=["PATCH"]),
    Route("/api/v1/experiments/{id}", delete, methods=["DELETE"]),
    Route("/api/v1/experiments/{id}/trials", list_trials),
    Route("/api/v1/experiments/{id}/checkpoints", list_checkpoints),
    Route("/api/v1/experiments/{id}/model_def", model_definition),
    Route("/api/v1/experiments/{id}/searcher/best_searcher_validation_metric", best_validation),
    Route("/api/v1/experiments/{id}/labels/{label:path}", set_label, methods=["PUT", "DELETE"]),
    Route("/experiments/{id}/preview_gc", preview_garbage),
    *(Route(f"/api/v1/experiments/{{id}}/{name}", _verb(act), methods=["POST"]) for name, act in _VERBS.items()),
]
