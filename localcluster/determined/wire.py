"""JSON as Determined's clients expect it: camelCase, full enum names, int64 sizes and odd floats as strings."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from localcluster.determined.launcher import AGENT_ID
from localcluster.determined.state import checkpoints, metrics, models, trials
from localcluster.determined.state.database import Database, Row
from localcluster.determined.state.experiments import TERMINAL

_ALLOCATION_STATES = {"PULLING": "STARTING", "RUNNING": "RUNNING"}


def encode(value: Any) -> bytes:
    """Return JSON in which NaN and infinities are the strings that the gateway writes."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        return json.dumps(metrics.finite(value), allow_nan=False, separators=(",", ":")).encode()


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("config", "hparams", "labels", "metadata"), json.loads),
    **dict.fromkeys(("active", "admin", "archived"), bool),
    "resources": lambda text: {path: str(size) for path, size in json.loads(text).items()},
    "state": "STATE_{}".format,
}


@functools.cache
def _name(column: str) -> str:
    first, *rest = column.split("_")
    return first + "".join(map(str.title, rest))


def _fields(row: Row, columns: str) -> dict[str, Any]:
    """Return columns of a row as the wire has them; null ones are left out."""
    return {
        _name(column): convert(row[column]) if (convert := _CONVERSIONS.get(column)) else row[column]
        for column in columns.split()
        if row[column] is not None
    }


def user(row: Row) -> dict[str, Any]:
    """v1User."""
    return {**_fields(row, "id username admin active display_name modified_at"), "remote": False}


def display_state(row: Row) -> str:
    """Return the state that users see: an ACTIVE one is QUEUED, STARTING or RUNNING by its allocations."""
    state: str = row["state"]
    if state == "ACTIVE":
        state = _ALLOCATION_STATES.get(row["allocated"], "QUEUED")
    return f"STATE_{state}"


PROJECT_ID = 1
_PLACE = {
    "projectId": PROJECT_ID,
    "projectName": "Uncategorized",
    "projectOwnerId": 1,
    "workspaceId": 1,
    "workspaceName": "Uncategorized",
}


def experiment(row: Row, *, full: bool = True) -> dict[str, Any]:
    """v1Experiment; lists leave the configuration texts out for size, as the real master does."""
    config = json.loads(row["config"])
    columns = "id name labels notes archived username display_name user_id start_time end_time progress job_id"
    return {
        **_fields(row, columns),
        "state": display_state(row),
        "description": row["description"] or "",
        "numTrials": row["trials"],
        "checkpointCount": row["checkpoints"],
        "forkedFrom": row["parent_id"],
        "resourcePool": config["resources"]["resource_pool"],
        "searcherType": config["searcher"]["name"],
        "searcherMetric": config["searcher"]["metric"],
        "hyperparameters": config["hyperparameters"],
        **_PLACE,
        "config": config if full else {},
        "originalConfig": row["original_config"] if full else "",
    }


def unstored_experiment(config: dict[str, Any], username: str) -> dict[str, Any]:
    """v1Experiment of a `validateOnly` request, which is stored nowhere."""
    return {
        "id": 0,
        "state": "STATE_UNSPECIFIED",
        "name": config["name"],
        "archived": False,
        "config": config,
        "originalConfig": "",
        "jobId": "",
        "numTrials": 0,
        "searcherType": config["searcher"]["name"],
        "startTime": "1970-01-01T00:00:00Z",
        "username": username,
        **_PLACE,
    }


def trial(db: Database, row: Row, config: dict[str, Any]) -> dict[str, Any]:
    """trialv1Trial."""
    searcher = config["searcher"]
    metric, smaller = searcher["metric"], searcher["smaller_is_better"]
    latest = metrics.latest_validation(db, row["id"])
    best = metrics.best_validation(db, row["id"], metric, smaller)
    saved = [c for c in checkpoints.find(db, trial_id=row["id"]) if c["state"] == "COMPLETED"]
    shaped: dict[str, Any] = {
        **_fields(row, "id experiment_id hparams restarts start_time end_time task_id"),
        "state": display_state(row),
        "totalBatchesProcessed": metrics.steps(db, row["id"]),
        "runnerState": "" if row["state"] in TERMINAL else row["runner_state"],
        "taskIds": trials.task_ids(row),
        "checkpointCount": len(saved),
        "totalCheckpointSize": str(sum(sum(json.loads(c["resources"]).values()) for c in saved)),
        "summaryMetrics": metrics.summary(db, row["id"]),
        "metadata": json.loads(row["metadata"] or "{}"),
    }
    if row["warm_start"]:
        shaped["warmStartCheckpointUuid"] = row["warm_start"]
    if latest:
        shaped["latestValidation"] = metrics_workload(latest)
    if best:
        shaped["bestValidation"] = metrics_workload(best)
        shaped["searcherMetricValue"] = json.loads(best["average"])[metric]
    if saved:
        shaped["bestCheckpoint"] = checkpoint_workload(checkpoints.ordered(db, saved)[0])
    return shaped


def metrics_workload(row: Row, *, batches: bool = False) -> dict[str, Any]:
    """v1MetricsWorkload."""
    values = {"avgMetrics": json.loads(row["average"])}
    if batches and row["batches"]:
        values["batchMetrics"] = json.loads(row["batches"])
    return {**_fields(row, "end_time"), "metrics": values, "numInputs": 0, "totalBatches": row["steps"]}


def checkpoint_workload(row: Row) -> dict[str, Any]:
    """v1CheckpointWorkload."""
    named = _fields(row, "uuid state resources metadata")
    return {**named, "endTime": row["report_time"], "totalBatches": row["steps"]}


def checkpoint(db: Database, row: Row) -> dict[str, Any]:
    """v1Checkpoint; the storage in its configuration is where the client looks for the files itself."""
    validation = metrics.at(db, row["trial_id"], metrics.VALIDATION, row["steps"])
    training = metrics.at(db, row["trial_id"], metrics.TRAINING, row["steps"])
    metric = checkpoints.metric(db, row)
    return {
        **_fields(row, "uuid task_id allocation_id report_time state resources metadata"),
        "training": {
            **_fields(row, "trial_id experiment_id hparams"),
            "experimentConfig": json.loads(row["config"]),
            "trainingMetrics": {"avgMetrics": training or {}, "batchMetrics": []},
            "validationMetrics": {"avgMetrics": validation or {}, "batchMetrics": []},
            **({} if metric is None else {"searcherMetric": metric}),
        },
    }


def metrics_report(row: Row) -> dict[str, Any]:
    """v1MetricsReport; averages lie under the name that the SDK looks for."""
    key = "validation_metrics" if row["name"] == metrics.VALIDATION else "avg_metrics"
    values = {key: json.loads(row["average"])}
    if row["batches"]:
        values["batch_metrics"] = json.loads(row["batches"])
    named = _fields(row, "id trial_id end_time archived")
    named |= {"trialRunId": row["run"], "group": row["name"], "totalBatches": row["steps"]}
    return {**named, "metrics": values}


def log_line(row: Row) -> dict[str, Any]:
    """v1TrialLogsResponse; `message` is what the CLI prints."""
    container = trials.container_id(row["allocation_id"]) if row["allocation_id"] else ""
    rank, level = row["rank"], row["level"]
    told = ("" if rank is None else f"[rank={rank}] ") + "|| " + (f"{level}: " if level else "")
    return {
        **_fields(row, "trial_id timestamp source stdtype"),
        "id": str(row["id"]),
        "message": f"[{row['timestamp']}] {container:8.8} {told}{row['log']}\n",
        "log": row["log"] + "\n",
        "level": f"LOG_LEVEL_{level or 'UNSPECIFIED'}",
        "agentId": AGENT_ID,
        "containerId": container,
        **({} if rank is None else {"rankId": rank}),
    }


_REGISTERED = "id name notes metadata labels username user_id creation_time last_updated_time"


def model(row: Row) -> dict[str, Any]:
    """v1Model."""
    return {**_fields(row, f"{_REGISTERED} description archived"), "numVersions": row["count"], "workspaceId": 1}


def model_version(db: Database, row: Row) -> dict[str, Any]:
    """v1ModelVersion."""
    return {
        **_fields(row, f"{_REGISTERED} version comment"),
        "model": model(models.get(db, str(row["model_id"]))),
        "checkpoint": checkpoint(db, checkpoints.get(db, row["checkpoint_uuid"])),
    }
