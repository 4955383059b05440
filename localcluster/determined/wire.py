"""JSON as Determined's clients expect it: camelCase, full enum names, int64 sizes and odd floats as strings."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from localcluster.determined.launcher import AGENT_ID
from localcluster.determined.state import checkpoints, metrics, models, trials
from localcluster.determined.state.database import Database, Row
from localcluster.determined.state.experiments import TERMINAL

_ALLOCATION_STATES = {"PULLING": "STARTING", "RUNNING": "RUNNING"}
_LINE = "[{timestamp}] {container:8.8} {rank}|| {level}{log}\n"


def encode(value: Any) -> bytes:
    """Return JSON in which NaN and infinities are the strings that the gateway writes."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, separators=(",", ":")).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def page(items: Sequence[Any], offset: int, limit: int) -> tuple[Sequence[Any], dict[str, Any]]:
    """Cut one page; limit 0 is everything.  Negative offsets count from the end, as upstream."""
    total = len(items)
    start = min(max(offset if offset >= 0 else total + offset, 0), total)
    end = min(start + limit, total) if limit > 0 else total
    pagination = {"offset": offset, "limit": limit, "startIndex": start, "endIndex": end, "total": total}
    return items[start:end], pagination


def user(row: Row) -> dict[str, Any]:
    """v1User."""
    return {
        "id": row["id"],
        "username": row["username"],
        "admin": bool(row["admin"]),
        "active": bool(row["active"]),
        "displayName": row["display_name"],
        "remote": False,
        "modifiedAt": row["modified_at"],
    }


def display_state(row: Row) -> str:
    """Return the state that users see: an ACTIVE one is QUEUED, STARTING or RUNNING by its allocations."""
    state: str = row["state"]
    if state == "ACTIVE":
        state = _ALLOCATION_STATES.get(row["allocated"], "QUEUED")
    return f"STATE_{state}"


def experiment(row: Row, *, full: bool = True) -> dict[str, Any]:
    """v1Experiment; lists leave the configuration texts out for size, as the real master does."""
    config = json.loads(row["config"])
    return {
        "id": row["id"],
        "state": display_state(row),
        "name": row["name"],
        "description": row["description"] or "",
        "labels": json.loads(row["labels"]),
        "notes": row["notes"],
        "archived": bool(row["archived"]),
        "username": row["username"],
        "displayName": row["display_name"],
        "userId": row["user_id"],
        "startTime": row["start_time"],
        **({"endTime": row["end_time"]} if row["end_time"] else {}),
        "numTrials": row["trials"],
        "checkpointCount": row["checkpoints"],
        "progress": row["progress"],
        "jobId": row["job_id"],
        "forkedFrom": row["parent_id"],
        "resourcePool": config["resources"]["resource_pool"],
        "searcherType": config["searcher"]["name"],
        "searcherMetric": config["searcher"]["metric"],
        "hyperparameters": config["hyperparameters"],
        "projectId": 1,
        "projectName": "Uncategorized",
        "projectOwnerId": 1,
        "workspaceId": 1,
        "workspaceName": "Uncategorized",
        "config": config if full else {},
        "originalConfig": row["original_config"] if full else "",
    }


def trial(db: Database, row: Row, config: dict[str, Any]) -> dict[str, Any]:
    """trialv1Trial."""
    searcher = config["searcher"]
    metric, smaller = searcher["metric"], searcher["smaller_is_better"]
    latest = metrics.latest_validation(db, row["id"])
    best = metrics.best_validation(db, row["id"], metric, smaller)
    saved = [c for c in checkpoints.find(db, trial_id=row["id"]) if c["state"] == "COMPLETED"]
    ranked = checkpoints.ordered(db, saved, attribute="SORT_BY_SEARCHER_METRIC", by_metric="", descending=None)
    shaped: dict[str, Any] = {
        "id": row["id"],
        "experimentId": row["experiment_id"],
        "state": display_state(row),
        "hparams": json.loads(row["hparams"]),
        "restarts": row["restarts"],
        "startTime": row["start_time"],
        "totalBatchesProcessed": metrics.steps(db, row["id"]),
        "runnerState": "" if row["state"] in TERMINAL else row["runner_state"],
        "taskId": row["task_id"],
        "taskIds": trials.task_ids(row),
        "checkpointCount": len(saved),
        "totalCheckpointSize": str(sum(_size(c) for c in saved)),
        "summaryMetrics": metrics.summary(db, row["id"]),
        "metadata": json.loads(row["metadata"] or "{}"),
    }
    if row["end_time"]:
        shaped["endTime"] = row["end_time"]
    if row["warm_start"]:
        shaped["warmStartCheckpointUuid"] = row["warm_start"]
    if latest:
        shaped["latestValidation"] = metrics_workload(latest)
    if best:
        shaped["bestValidation"] = metrics_workload(best)
        shaped["searcherMetricValue"] = json.loads(best["average"])[metric]
    if ranked:
        shaped["bestCheckpoint"] = checkpoint_workload(ranked[0])
    return shaped


def metrics_workload(row: Row, *, batches: bool = False) -> dict[str, Any]:
    """v1MetricsWorkload."""
    values = {"avgMetrics": json.loads(row["average"])}
    if batches and row["batches"]:
        values["batchMetrics"] = json.loads(row["batches"])
    return {"endTime": row["end_time"], "metrics": values, "numInputs": 0, "totalBatches": row["steps"]}


def checkpoint_workload(row: Row) -> dict[str, Any]:
    """v1CheckpointWorkload."""
    return {
        "uuid": row["uuid"],
        "endTime": row["report_time"],
        "state": f"STATE_{row['state']}",
        "resources": _resources(row),
        "totalBatches": row["steps"],
        "metadata": json.loads(row["metadata"]),
    }


def checkpoint(db: Database, row: Row) -> dict[str, Any]:
    """v1Checkpoint; the storage in its configuration is where the client looks for the files itself."""
    validation = metrics.at(db, row["trial_id"], metrics.VALIDATION, row["steps"])
    training = metrics.at(db, row["trial_id"], metrics.TRAINING, row["steps"])
    metric = checkpoints.searcher_metric(db, row)
    return {
        "uuid": row["uuid"],
        "taskId": row["task_id"],
        "allocationId": row["allocation_id"],
        "reportTime": row["report_time"],
        "state": f"STATE_{row['state']}",
        "resources": _resources(row),
        "metadata": json.loads(row["metadata"]),
        "training": {
            "trialId": row["trial_id"],
            "experimentId": row["experiment_id"],
            "experimentConfig": json.loads(row["config"]),
            "hparams": json.loads(row["hparams"]),
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
    return {
        "id": row["id"],
        "trialId": row["trial_id"],
        "trialRunId": row["run"],
        "group": row["name"],
        "totalBatches": row["steps"],
        "endTime": row["end_time"],
        "archived": bool(row["archived"]),
        "metrics": values,
    }


def log_line(row: Row) -> dict[str, Any]:
    """v1TrialLogsResponse; `message` is what the CLI prints."""
    container = trials.container_id(row["allocation_id"]) if row["allocation_id"] else ""
    message = _LINE.format(
        timestamp=row["timestamp"],
        container=container,
        rank="" if row["rank"] is None else f"[rank={row['rank']}] ",
        level=f"{row['level']}: " if row["level"] else "",
        log=row["log"],
    )
    return {
        "id": str(row["id"]),
        "trialId": row["trial_id"],
        "timestamp": row["timestamp"],
        "message": message,
        "log": row["log"] + "\n",
        "level": f"LOG_LEVEL_{row['level'] or 'UNSPECIFIED'}",
        "agentId": AGENT_ID,
        "containerId": container,
        "source": row["source"],
        "stdtype": row["stdtype"],
        **({} if row["rank"] is None else {"rankId": row["rank"]}),
    }


def model(row: Row) -> dict[str, Any]:
    """v1Model."""
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "notes": row["notes"],
        "metadata": json.loads(row["metadata"]),
        "labels": json.loads(row["labels"]),
        "archived": bool(row["archived"]),
        "numVersions": row["count"],
        "username": row["username"],
        "userId": row["user_id"],
        "workspaceId": 1,
        "creationTime": row["creation_time"],
        "lastUpdatedTime": row["last_updated_time"],
    }


def model_version(db: Database, row: Row) -> dict[str, Any]:
    """v1ModelVersion."""
    return {
        "id": row["id"],
        "version": row["version"],
        "name": row["name"],
        "comment": row["comment"],
        "notes": row["notes"],
        "metadata": json.loads(row["metadata"]),
        "labels": json.loads(row["labels"]),
        "username": row["username"],
        "userId": row["user_id"],
        "creationTime": row["creation_time"],
        "lastUpdatedTime": row["last_updated_time"],
        "model": model(models.get(db, str(row["model_id"]))),
        "checkpoint": checkpoint(db, checkpoints.get(db, row["checkpoint_uuid"])),
    }


def _resources(row: Row) -> dict[str, str]:
    return {path: str(size) for path, size in json.loads(row["resources"]).items()}


def _size(row: Row) -> int:
    return sum(json.loads(row["resources"]).values())
