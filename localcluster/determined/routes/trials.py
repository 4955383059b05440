"""Trials as users look at them: description, workloads, metrics, kill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from localcluster.determined import wire
from localcluster.determined.errors import InvalidArgument
from localcluster.determined.routes.experiments import checkpoint_page
from localcluster.determined.routes.http import answer, body, descending, field, flag, key, master, pages
from localcluster.determined.state import checkpoints, experiments, metrics, trials
from localcluster.determined.state.database import Database

METRICS_PAGE = 500
"""Reports in one line of a metrics stream."""


async def get(request: Request) -> Response:
    """v1GetTrialResponse."""
    db = master(request).db
    row = trials.get(db, key(request))
    config = json.loads(experiments.get(db, row["experiment_id"])["config"])
    return answer({"trial": wire.trial(db, row, config)})


async def kill(request: Request) -> Response:
    """End the trial at once."""
    master(request).kill_trial(key(request))
    return answer()


async def list_checkpoints(request: Request) -> Response:
    """v1GetTrialCheckpointsResponse."""
    db = master(request).db
    trials.get(db, key(request))
    return checkpoint_page(request, checkpoints.find(db, trial_id=key(request)))


async def workloads(request: Request) -> Response:
    """v1GetTrialWorkloadsResponse: training, validations and checkpoints by step."""
    db = master(request).db
    trials.get(db, key(request))
    found = _workloads(db, key(request), batches=bool(flag(request, "includeBatchMetrics")))
    items, pagination = pages(request, found[::-1] if descending(request) else found)
    return answer({"workloads": items, "pagination": pagination})


def _workloads(db: Database, trial_id: int, *, batches: bool) -> list[dict[str, Any]]:
    kinds = {metrics.TRAINING: 0, metrics.VALIDATION: 1}
    found = [
        (row["steps"], kinds[row["name"]], {row["name"]: wire.metrics_workload(row, batches=batches)})
        for row in metrics.of_trial(db, trial_id)
        if row["name"] in kinds
    ]
    found += [
        (row["steps"], 2, {"checkpoint": wire.checkpoint_workload(row)})
        for row in checkpoints.find(db, trial_id=trial_id)
    ]
    return [workload for _, _, workload in sorted(found, key=lambda item: item[:2])]


def stream(group: str | None) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that streams reports of `group` (None: the query's `group`, else all groups)."""

    async def endpoint(request: Request) -> Response:
        db = master(request).db
        try:
            wanted = [int(text) for text in request.query_params.getlist("trialIds")]
        except ValueError as error:
            raise InvalidArgument("trialIds: must be numbers") from error
        for trial_id in wanted:
            trials.get(db, trial_id)
        name = group or request.query_params.get("group") or None
        return StreamingResponse(_reports(db, wanted, name), media_type="application/json")

    return endpoint


async def _reports(db: Database, wanted: list[int], name: str | None) -> AsyncIterator[bytes]:
    for trial_id in sorted(wanted):
        last = 0
        while rows := metrics.of_trial(db, trial_id, name, after=last, limit=METRICS_PAGE):
            yield wire.encode({"result": {"metrics": [wire.metrics_report(row) for row in rows]}}) + b"\n"
            last = rows[-1]["id"]
            await asyncio.sleep(0)


async def get_metadata(request: Request) -> Response:
    """Arbitrary metadata of the run (a trial is its own run)."""
    return answer({"metadata": json.loads(trials.get(master(request).db, key(request))["metadata"] or "{}")})


async def post_metadata(request: Request) -> Response:
    """v1PostRunMetadataRequest: replaces what was there."""
    db = master(request).db
    values = await body(request)
    metadata = field(values, "metadata", dict)
    with db.transaction():
        db.update("trials", "id", trials.get(db, key(request))["id"], metadata=metadata)
    return answer({"metadata": metadata})


ROUTES = [
    Route("/api/v1/trials/metrics/trial_metrics", stream(None)),
    Route("/api/v1/trials/metrics/training_metrics", stream(metrics.TRAINING)),
    Route("/api/v1/trials/metrics/validation_metrics", stream(metrics.VALIDATION)),
    Route("/api/v1/trials/{id}", get),
    Route("/api/v1/trials/{id}/kill", kill, methods=["POST"]),
    Route("/api/v1/trials/{id}/checkpoints", list_checkpoints),
    Route("/api/v1/trials/{id}/workloads", workloads),
    Route("/api/v1/runs/{id}/metadata", get_metadata),
    Route("/api/v1/runs/{id}/metadata", post_metadata, methods=["POST"]),
]
