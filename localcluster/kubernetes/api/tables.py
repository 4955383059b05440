"""`kubectl get` as the server renders it: one table a kind, with the columns of a real cluster."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from localcluster.kubernetes.state.kinds import Kind, Object

Columns = list[tuple[str, int, Callable[[Object], Any]]]
"""Title, priority (1 = only with -o wide), and how the cell is made."""


def table(kind: Kind, items: list[Object], version: int | str, *, titles: bool = True) -> Object:
    """A meta/v1 Table; later events of a watch leave out the column definitions."""
    columns = _COLUMNS.get(kind.name, []) or [("Age", 0, _age)]
    if kind.name != "Event":
        columns = [("Name", 0, _name), *columns]
    definitions = [
        {
            "name": title,
            "type": "string",
            "format": "name" if title == "Name" else "",
            "description": "",
            "priority": priority,
        }
        for title, priority, _ in columns
    ]
    rows = [
        {
            "cells": [cell(item) for _, _, cell in columns],
            "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]},
        }
        for item in items
    ]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": str(version)}}
    return head | {"columnDefinitions": definitions if titles else None, "rows": rows}


def duration(seconds: float) -> str:
    """A length of time as kubectl writes it: 45s, 5m3s, 12m, 3h5m, 26h, 3d4h, 20d."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    for limit, big, unit, rest, small in (
        (120, whole, "s", 0, ""),
        (600, minutes, "m", whole % 60, "s"),
        (3 * 3600, minutes, "m", 0, ""),
        (8 * 3600, hours, "h", minutes % 60, "m"),
        (48 * 3600, hours, "h", 0, ""),
        (8 * 86400, days, "d", hours % 24, "h"),
    ):
        if whole < limit:
            return f"{big}{unit}" + (f"{rest}{small}" if rest else "")
    return f"{days}d"


def _since(moment: str | None) -> str:
    if not moment:
        return "<unknown>"
    return duration((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def _age(item: Object) -> str:
    return _since(item["metadata"].get("creationTimestamp"))


def _at(path: str, default: Any = "<none>") -> Callable[[Object], Any]:
    def cell(item: Object) -> Any:
        found: Any = item
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, dict):
            return ",".join(f"{key}={value}" for key, value in found.items()) or default
        if isinstance(found, list):
            return ",".join(str(value) for value in found) or default
        return default if found is None or found == "" else found

    return cell


def _containers(field: str) -> Callable[[Object], str]:
    return lambda item: ",".join(each.get(field, "") for each in item["spec"]["template"]["spec"]["containers"])


def _statuses(item: Object) -> list[Object]:
    found: list[Object] = item.get("status", {}).get("containerStatuses", [])
    return found


def _pod_ready(item: Object) -> str:
    return f"{sum(status['ready'] for status in _statuses(item))}/{len(item['spec']['containers'])}"


def _pod_status(item: Object) -> str:
    if item["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for status in _statuses(item):
        for state in ("waiting", "terminated"):
            if reason := status["state"].get(state, {}).get("reason"):
                return str(reason)
    return str(item.get("status", {}).get("phase", "Pending"))


def _restarts(item: Object) -> str:
    count = sum(status["restartCount"] for status in _statuses(item))
    ends = [status.get("lastState", {}).get("terminated", {}).get("finishedAt") for status in _statuses(item)]
    return f"{count} ({_since(max(end for end in ends if end))} ago)" if count and any(ends) else str(count)


def _ports(item: Object) -> str:
    ports = item["spec"].get("ports") or []
    return ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


def _external(item: Object) -> str:
    addresses = item.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    pending = "<pending>" if item["spec"].get("type") == "LoadBalancer" else "<none>"
    return ",".join(address.get("ip") or address.get("hostname", "") for address in addresses) or pending


def _deployment_ready(item: Object) -> str:
    return f"{item.get('status', {}).get('readyReplicas', 0)}/{item['spec']['replicas']}"


def _event_object(item: Object) -> str:
    involved = item.get("involvedObject") or {}
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


_COLUMNS: dict[str, Columns] = {
    "Pod": [
        ("Ready", 0, _pod_ready),
        ("Status", 0, _pod_status),
        ("Restarts", 0, _restarts),
        ("Age", 0, _age),
        ("IP", 1, _at("status.podIP")),
        ("Node", 1, _at("spec.nodeName")),
    ],
    "Service": [
        ("Type", 0, _at("spec.type")),
        ("Cluster-IP", 0, _at("spec.clusterIP")),
        ("External-IP", 0, _external),
        ("Port(s)", 0, _ports),
        ("Age", 0, _age),
        ("Selector", 1, _at("spec.selector")),
    ],
    "Deployment": [
        ("Ready", 0, _deployment_ready),
        ("Up-to-date", 0, _at("status.updatedReplicas", 0)),
        ("Available", 0, _at("status.availableReplicas", 0)),
        ("Age", 0, _age),
        ("Containers", 1, _containers("name")),
        ("Images", 1, _containers("image")),
        ("Selector", 1, _at("spec.selector.matchLabels")),
    ],
    "SeldonDeployment": [
        ("State", 0, _at("status.state", "")),
        ("Replicas", 0, _at("status.replicas", 0)),
        ("Age", 0, _age),
        ("Description", 1, _at("status.description", "")),
    ],
    "Namespace": [("Status", 0, _at("status.phase")), ("Age", 0, _age)],
    "Secret": [("Type", 0, _at("type")), ("Data", 0, lambda item: len(item.get("data") or {})), ("Age", 0, _age)],
    "ConfigMap": [("Data", 0, lambda item: len(item.get("data") or {})), ("Age", 0, _age)],
    "PersistentVolumeClaim": [
        ("Status", 0, _at("status.phase", "Pending")),
        ("Capacity", 0, _at("status.capacity.storage", "")),
        ("Access Modes", 0, _at("status.accessModes", "")),
        ("StorageClass", 0, _at("spec.storageClassName", "")),
        ("Age", 0, _age),
    ],
    "VirtualService": [("Gateways", 0, _at("spec.gateways")), ("Hosts", 0, _at("spec.hosts")), ("Age", 0, _age)],
    "Event": [
        ("Last Seen", 0, lambda item: _since(item.get("lastTimestamp"))),
        ("Type", 0, _at("type")),
        ("Reason", 0, _at("reason")),
        ("Object", 0, _event_object),
        ("Message", 0, _at("message", "")),
        ("Count", 1, _at("count", 1)),
        ("Name", 1, _name),
    ],
}
