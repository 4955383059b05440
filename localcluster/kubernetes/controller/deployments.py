"""The Deployment controller: keeps the wanted number of Pods of the newest template, and replaces the older ones by a
rolling update: new ones first, an old ready one goes only when enough others are ready."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime

from localcluster.kubernetes.controller import events
from localcluster.kubernetes.controller.faults import contained
from localcluster.kubernetes.controller.pods import condition, is_ready
from localcluster.kubernetes.errors import Forbidden, Invalid
from localcluster.kubernetes.state.kinds import DEPLOYMENT, POD, Object
from localcluster.kubernetes.state.names import random_suffix
from localcluster.kubernetes.state.selectors import labels_match
from localcluster.kubernetes.state.store import Store

COMPONENT = "deployment-controller"
HASH_LABEL = "pod-template-hash"


def sync(store: Store) -> None:
    """One round over all Deployments."""
    pods = store.all(POD)[0]
    for deployment in store.all(DEPLOYMENT)[0]:
        metadata = deployment["metadata"]
        if metadata.get("deletionTimestamp"):
            continue
        mine = [
            pod
            for pod in pods
            if pod["metadata"]["namespace"] == metadata["namespace"]
            and any(owner["uid"] == metadata["uid"] for owner in pod["metadata"].get("ownerReferences", []))
            and not pod["metadata"].get("deletionTimestamp")
        ]
        with contained(store, deployment, COMPONENT):
            try:
                _scale(store, deployment, mine)
            except (Invalid, Forbidden) as error:
                events.record(store, deployment, COMPONENT, "FailedCreate", str(error), warning=True)
            _write_status(store, deployment, mine)


def template_hash(deployment: Object) -> str:
    """Ten characters that change whenever the Pod template does."""
    return hashlib.sha256(json.dumps(deployment["spec"]["template"], sort_keys=True).encode()).hexdigest()[:10]


def _scale(store: Store, deployment: Object, pods: list[Object]) -> None:
    current = template_hash(deployment)
    wanted = deployment["spec"]["replicas"]
    new = [pod for pod in pods if labels_match(pod, {HASH_LABEL: current})]
    old = [pod for pod in pods if pod not in new]
    limits = deployment["spec"]["strategy"].get("rollingUpdate") or {}
    surge = max(1, _amount(limits.get("maxSurge", "25%"), wanted, math.ceil))
    spare = sum(map(is_ready, pods)) - (wanted - _amount(limits.get("maxUnavailable", "25%"), wanted, math.floor))
    for _ in range(min(wanted - len(new), wanted + surge - len(pods))):
        _create(store, deployment, current)
    surplus = sorted(new, key=is_ready)[: max(0, len(new) - wanted)]
    for pod in [*sorted(old, key=is_ready), *surplus]:
        if is_ready(pod):
            if spare <= 0:
                continue
            spare -= 1
        name = pod["metadata"]["name"]
        store.delete(POD, pod["metadata"]["namespace"], name)
        events.record(store, deployment, COMPONENT, "SuccessfulDelete", f"Deleted pod: {name}")


def _amount(value: int | str, of: int, rounding: object) -> int:
    if isinstance(value, str):
        share = of * int(value.rstrip("%")) / 100
        return math.ceil(share) if rounding is math.ceil else math.floor(share)
    return value


def _create(store: Store, deployment: Object, current: str) -> None:
    metadata, template = deployment["metadata"], deployment["spec"]["template"]
    given = template.get("metadata") or {}
    name = f"{metadata['name'][:230]}-{current}-{random_suffix()}"
    owner = DEPLOYMENT.reference | {"name": metadata["name"], "uid": metadata["uid"]}
    pod = {
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {**(given.get("labels") or {}), HASH_LABEL: current},
            "annotations": dict(given.get("annotations") or {}),
            "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {**template["spec"], "nodeName": "localcluster"},
    }
    store.create(POD, pod)
    events.record(store, deployment, COMPONENT, "SuccessfulCreate", f"Created pod: {name}")


def _write_status(store: Store, deployment: Object, pods: list[Object]) -> None:
    before, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    new = [pod for pod in pods if labels_match(pod, {HASH_LABEL: template_hash(deployment)})]
    ready = sum(map(is_ready, pods))
    new_ready = sum(map(is_ready, new))
    complete = new_ready >= wanted and len(pods) == wanted
    enough = ready >= wanted - _amount(
        (deployment["spec"]["strategy"].get("rollingUpdate") or {}).get("maxUnavailable", "25%"), wanted, math.floor
    )
    progress = condition(before, "Progressing", True, "ReplicaSetUpdated", "The rollout is progressing.")
    if complete:
        progress = condition(before, "Progressing", True, "NewReplicaSetAvailable", "The rollout is complete.")
    elif _overdue(deployment, pods):
        progress = condition(before, "Progressing", False, "ProgressDeadlineExceeded", "The rollout takes too long.")
    available = condition(
        before,
        "Available",
        enough,
        "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        f"Deployment {'has' if enough else 'does not have'} minimum availability.",
    )
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": len(pods),
        "updatedReplicas": len(new),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(0, max(wanted, len(pods)) - ready),
        "conditions": [available, progress],
    }
    store.set_status(DEPLOYMENT, deployment, {key: value for key, value in status.items() if value != 0})


def _overdue(deployment: Object, pods: list[Object]) -> bool:
    waiting = [pod["metadata"]["creationTimestamp"] for pod in pods if not is_ready(pod)]
    if not waiting:
        return False
    age = (datetime.now(UTC) - datetime.fromisoformat(min(waiting))).total_seconds()
    return bool(age > deployment["spec"]["progressDeadlineSeconds"])
