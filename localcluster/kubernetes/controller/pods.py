"""What can be read off a Pod, and the shape of its status: shared by the kubelet and those who look at its work."""

from __future__ import annotations

import json

from localcluster.kubernetes.clock import now
from localcluster.kubernetes.state.kinds import Object
from localcluster.settings import HOST

PORTS_ANNOTATION = "localcluster/ports"
"""On a Pod: container port -> the port really listened on, as JSON.  The endpoints of a Service come from here."""


def pod_ports(pod: Object) -> dict[str, int]:
    """Container port -> the port really listened on; none where somebody else has written the annotation."""
    try:
        ports = json.loads((pod["metadata"].get("annotations") or {}).get(PORTS_ANNOTATION, "{}"))
    except ValueError:
        return {}
    return ports if isinstance(ports, dict) and all(type(port) is int for port in ports.values()) else {}


def is_ready(pod: Object) -> bool:
    """Whether a Pod may get requests: ready and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def condition(before: Object, name: str, value: bool, reason: str = "", message: str = "") -> Object:
    """A condition whose lastTransitionTime moves only when its status does; `before` is the earlier status object."""
    status = "True" if value else "False"
    old: Object = next((each for each in before.get("conditions", []) if each["type"] == name), {})
    since = old["lastTransitionTime"] if old.get("status") == status else now()
    texts = {key: text for key, text in (("reason", reason), ("message", message)) if text}
    return {"type": name, "status": status, "lastTransitionTime": since} | texts


def status_of(pod: Object, container: Object) -> Object:
    """The container's part of the Pod's status, as last written."""
    statuses: list[Object] = pod.get("status", {}).get("containerStatuses", [])
    return next((status for status in statuses if status["name"] == container["name"]), {})


def pod_status(pod: Object, containers: list[Object]) -> Object:
    """The status of a Pod whose containers have the given ones."""
    before = pod.get("status", {})
    ready = all(status["ready"] for status in containers)
    running = all("running" in status["state"] for status in containers)
    facts = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    return {
        "phase": "Running" if running or any(status["restartCount"] for status in containers) else "Pending",
        "conditions": [condition(before, name, value) for name, value in facts.items()],
        "containerStatuses": containers,
        "hostIP": HOST,
        "podIP": HOST,
        "podIPs": [{"ip": HOST}],
        "startTime": before.get("startTime") or now(),
        "qosClass": "BestEffort",
    }
