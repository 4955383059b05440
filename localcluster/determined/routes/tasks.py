"""What the harness inside a trial asks and tells, and the agent's poke."""

from __future__ import annotations

from typing import Any

from localcluster.determined.errors import InvalidArgument, PermissionDenied
from localcluster.determined.routes.experiments import definition
from localcluster.determined.routes.http import Call, field, served
from localcluster.determined.state import searches, trials
from localcluster.determined.state.metrics import Report

LONGEST_POLL = 60
"""Seconds; the harness waits ten more than it asks for."""


def rendezvous(call: Call) -> dict[str, Any]:
    """One process on one machine has nobody to wait for; from now on it can be preempted."""
    call.db.update("allocations", "id", call.allocation["id"], state="RUNNING")
    return {"rendezvousInfo": {"addresses": ["127.0.0.1"], "rank": 0, "slots": [call.allocation["slots"]]}}


async def preemption(call: Call) -> dict[str, Any]:
    """Long poll that answers the moment the trial shall end."""
    seconds = min(call.integer("timeout_seconds"), LONGEST_POLL)
    return {"preempt": await call.master.runs.preempted(call.allocation["id"], seconds)}


def start_run(call: Call) -> None:
    """v1RunPrepareForReportingRequest."""
    if call.field("runId", int) != call.allocation["trial_id"]:
        raise PermissionDenied("runId: is not this allocation's trial")


def report_metrics(call: Call) -> None:
    """v1ReportTrialMetricsRequest."""
    mine, report = call.allocation, call.field("metrics", dict)
    steps = report.get("stepsCompleted") or 0
    if not isinstance(steps, int):
        raise InvalidArgument("metrics.stepsCompleted: must be an integer")
    if report.get("trialRunId") not in (None, mine["run"]):
        raise InvalidArgument(f"metrics.trialRunId: this is run {mine['run']} of the trial")
    values = field(report, "metrics", dict)
    average, batches = values.get("avgMetrics") or {}, values.get("batchMetrics")
    group = call.body.get("group") or "training"
    call.master.report_metrics(mine, Report(group, steps, average, batches, report.get("reportTime")))


def early_exit(call: Call) -> None:
    """v1TrialEarlyExit; invalid hyperparameters are the only reason the real master takes."""
    reason = call.field("reason", str)
    if not reason.endswith("INVALID_HP"):
        raise InvalidArgument(f"reason: {reason!r} is not accepted, only EXITED_REASON_INVALID_HP")
    call.master.invalid_hyperparameters(call.allocation)


_ALLOCATION = "/api/v1/allocations/{allocation}"
_TRIAL = "/api/v1/trials/{id}"
ROUTES = served(
    {
        "GET /api/v1/tasks/{task}/context_directory": lambda call: definition(
            call, trials.of_task(call.db, call.path["task"])["experiment_id"]
        ),
        f"POST {_ALLOCATION}/acceleratorData": lambda _: None,
        f"GET {_ALLOCATION}/resources/{{resources}}/rendezvous": rendezvous,
        f"GET {_ALLOCATION}/signals/preemption": preemption,
        f"POST {_ALLOCATION}/signals/ack_preemption": lambda call: call.db.update(
            "allocations", "id", call.allocation["id"], acknowledged=1
        ),
        "POST /api/v1/runs/start": start_run,
        f"POST {_TRIAL}/metrics": report_metrics,
        f"POST {_TRIAL}/progress": lambda call: searches.report_progress(
            call.db, trials.get(call.db, call.key()), float(call.field("progress", int, float))
        ),
        f"POST {_TRIAL}/runner/metadata": lambda call: call.db.update(
            "trials", "id", call.key(), runner_state=call.field("state", str)
        ),
        f"POST {_TRIAL}/early_exit": early_exit,
        "POST /local/allocations/{allocation}/spooled": lambda call: call.master.runs.take_spool(call.allocation["id"]),
    }
)
