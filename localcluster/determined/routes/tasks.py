"""What the harness inside a trial asks and tells, and the agent's poke."""

from __future__ import annotations

import base64

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcluster.determined.errors import InvalidArgument, PermissionDenied
from localcluster.determined.routes.http import allocation, answer, body, field, integer, key, master
from localcluster.determined.state import experiments, trials
from localcluster.determined.state.metrics import Report

LONGEST_POLL = 60
"""Seconds; the harness waits ten more than it asks for."""


async def context_directory(request: Request) -> Response:
    """The model definition that the trial unpacks."""
    db = master(request).db
    trial = trials.of_task(db, request.path_params["task"])
    return answer({"b64Tgz": base64.b64encode(experiments.definition(db, trial["experiment_id"])).decode()})


async def rendezvous(request: Request) -> Response:
    """One process on one machine: nobody to wait for."""
    mine = allocation(request)
    master(request).rendezvous(mine)
    return answer({"rendezvousInfo": {"addresses": ["127.0.0.1"], "rank": 0, "slots": [mine["slots"]]}})


async def accelerators(_: Request) -> Response:
    """Taken and not kept: there are none."""
    return answer()


async def preemption(request: Request) -> Response:
    """Long poll that answers the moment the trial shall end."""
    seconds = min(integer(request, "timeout_seconds") or 0, LONGEST_POLL)
    return answer({"preempt": await master(request).runs.preempted(allocation(request)["id"], seconds)})


async def acknowledge(request: Request) -> Response:
    """The trial's code saw the preemption."""
    master(request).acknowledge_preemption(allocation(request))
    return answer()


async def start_run(request: Request) -> Response:
    """v1RunPrepareForReportingRequest."""
    if field(await body(request), "runId", int) != allocation(request)["trial_id"]:
        raise PermissionDenied("runId: is not this allocation's trial")
    return answer()


async def report_metrics(request: Request) -> Response:
    """v1ReportTrialMetricsRequest."""
    values = await body(request)
    report = field(values, "metrics", dict)
    group = values.get("group") or "training"
    steps = report.get("stepsCompleted") or 0
    if not isinstance(steps, int):
        raise InvalidArgument("metrics.stepsCompleted: must be an integer")
    mine = allocation(request)
    if report.get("trialRunId") not in (None, mine["run"]):
        raise InvalidArgument(f"metrics.trialRunId: this is run {mine['run']} of the trial")
    values = field(report, "metrics", dict)
    average, batches = values.get("avgMetrics") or {}, values.get("batchMetrics")
    master(request).report_metrics(mine, Report(group, steps, average, batches, report.get("reportTime")))
    return answer()


async def report_progress(request: Request) -> Response:
    """v1ReportTrialProgressRequest."""
    master(request).report_progress(key(request), float(field(await body(request), "progress", (int, float))))
    return answer()


async def runner_state(request: Request) -> Response:
    """What the trial is doing, as `det trial describe` shows it."""
    db = master(request).db
    with db.transaction():
        db.update("trials", "id", key(request), runner_state=field(await body(request), "state", str))
    return answer()


async def early_exit(request: Request) -> Response:
    """v1TrialEarlyExit; invalid hyperparameters are the only reason the real master takes."""
    reason = field(await body(request), "reason", str)
    if not reason.endswith("INVALID_HP"):
        raise InvalidArgument(f"reason: {reason!r} is not accepted, only EXITED_REASON_INVALID_HP")
    master(request).invalid_hyperparameters(allocation(request))
    return answer()


async def spooled(request: Request) -> Response:
    """The agent wrote lines to its spool."""
    master(request).runs.take_spool(allocation(request)["id"])
    return answer()


_ALLOCATION = "/api/v1/allocations/{allocation}"
ROUTES = [
    Route("/api/v1/tasks/{task}/context_directory", context_directory),
    Route(f"{_ALLOCATION}/acceleratorData", accelerators, methods=["POST"]),
    Route(f"{_ALLOCATION}/resources/{{resources}}/rendezvous", rendezvous),
    Route(f"{_ALLOCATION}/signals/preemption", preemption),
    Route(f"{_ALLOCATION}/signals/ack_preemption", acknowledge, methods=["POST"]),
    Route("/api/v1/runs/start", start_run, methods=["POST"]),
    Route("/api/v1/trials/{id}/metrics", report_metrics, methods=["POST"]),
    Route("/api/v1/trials/{id}/progress", report_progress, methods=["POST"]),
    Route("/api/v1/trials/{id}/runner/metadata", runner_state, methods=["POST"]),
    Route("/api/v1/trials/{id}/early_exit", early_exit, methods=["POST"]),
    Route("/local/allocations/{allocation}/spooled", spooled, methods=["POST"]),
]
