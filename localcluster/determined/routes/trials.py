"""Trials as users look at them: description, workloads, metrics, kill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import Response, StreamingResponse

from localcluster.determined import wire
from localcluster.determined.routes.experiments import checkpoint_page
from localcluster.determined.routes.http import Call, served
from localcluster.determined.state import checkpoints, experiments, metrics, trials
from localcluster.determined.state.database import Database, Row

METRICS_PAGE = 500
"""Reports in one line of a metrics stream."""


def get(call: Call) -> dict[str, Any]:
    """v1GetTrialResponse."""
    row = _trial(call)
    return {"trial": wire.trial(call.db, row, experiments.configuration(call.db, row["experiment_id"]))}


def workloads(call: Call) -> dict[str, Any]:
    """v1GetTrialWorkloadsResponse: training, validations and checkpoints by step."""
    trial_id, batches = _trial(call)["id"], bool(call.flag("includeBatchMetrics"))
    kinds = {metrics.TRAINING: 0, metrics.VALIDATION: 1}
    found = [
        (row["steps"], kinds[row["name"]], {row["name"]: wire.metrics_workload(row, batches=batches)})
        for row in metrics.of_trial(call.db, trial_id)
        if row["name"] in kinds
    ]
    for row in checkpoints.find(call.db, trial_id=trial_id):
        found.append((row["steps"], 2, {"checkpoint": wire.checkpoint_workload(row)}))
    found.sort(key=lambda item: item[:2])
    return call.page("workloads", found[::-1] if call.descending else found, lambda item: item[2], beyond=True)


def stream(group: str | None) -> Callable[[Call], Response]:
    """Return the handler that streams reports of `group` (None: the query's `group`, else all groups)."""

    def handler(call: Call) -> Response:
        wanted = sorted(call.integers("trialIds"))
        for trial_id in wanted:
            trials.get(call.db, trial_id)
        name = group or call.query.get("group") or None
        return StreamingResponse(_reports(call.db, wanted, name), media_type="application/json")

    return handler


async def _reports(db: Database, wanted: list[int], name: str | None) -> AsyncIterator[bytes]:
    for trial_id in wanted:
        last = 0
        while rows := metrics.of_trial(db, trial_id, name, after=last, limit=METRICS_PAGE):
            yield wire.encode({"result": {"metrics": [wire.metrics_report(row) for row in rows]}}) + b"\n"
            last = rows[-1]["id"]
            await asyncio.sleep(0)


def post_metadata(call: Call) -> dict[str, Any]:
    """v1PostRunMetadataRequest: replaces what was there."""
    metadata = call.field("metadata", dict)
    call.db.update("trials", "id", _trial(call)["id"], metadata=metadata)
    return {"metadata": metadata}


def _trial(call: Call) -> Row:
    return trials.get(call.db, call.key())


_TRIAL = "/api/v1/trials/{id}"
_RUN = "/api/v1/runs/{id}"  # a trial is its own run
ROUTES = served(
    {
        "GET /api/v1/trials/metrics/trial_metrics": stream(None),
        "GET /api/v1/trials/metrics/training_metrics": stream(metrics.TRAINING),
        "GET /api/v1/trials/metrics/validation_metrics": stream(metrics.VALIDATION),
        f"GET {_TRIAL}": get,
        f"POST {_TRIAL}/kill": lambda call: call.master.kill_trial(call.key()),
        f"GET {_TRIAL}/checkpoints": lambda call: checkpoint_page(
            call, checkpoints.find(call.db, trial_id=_trial(call)["id"])
        ),
        f"GET {_TRIAL}/workloads": workloads,
        f"GET {_RUN}/metadata": lambda call: {"metadata": json.loads(_trial(call)["metadata"] or "{}")},
        f"POST {_RUN}/metadata": post_metadata,
    }
)
