"""Reconciles SeldonDeployments: creates and updates what the operator derives, in Seldon's order, and tells the status.

Services and Deployments first; routes only when every Deployment is ready; what left the spec is removed after that.
So new weights and new versions take effect when they can answer, and old ones leave when nothing is sent to them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from localcluster.kubernetes.controller import events
from localcluster.kubernetes.controller.effects import without_effect
from localcluster.kubernetes.controller.faults import contained
from localcluster.kubernetes.controller.operator import Desired, address, derive, endpoint, identity
from localcluster.kubernetes.controller.pods import condition
from localcluster.kubernetes.errors import AlreadyExists, ApiError
from localcluster.kubernetes.state.kinds import BY_NAME, DEPLOYMENT, POD, SELDON, SERVICE, Object
from localcluster.kubernetes.state.selectors import labels_match
from localcluster.kubernetes.state.store import Store

COMPONENT = "seldon-controller-manager"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_TROUBLE = ("ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "CreateContainerConfigError", "RunContainerError")


@dataclass(frozen=True)
class Plan:
    """What a round made of one SeldonDeployment; `ready`: all its Deployments are."""

    item: Object
    desired: Desired
    deployments: list[Object]
    ready: bool


def reconcile(store: Store) -> list[Plan]:
    """One round over all SeldonDeployments; one that fails is `Failed` and does not keep the others back."""
    plans = []
    for item in store.all(SELDON)[0]:
        if item["metadata"].get("deletionTimestamp"):
            continue
        with contained(store, item, COMPONENT):
            try:
                plans.append(_reconcile(store, item))
            except (ApiError, ValueError) as error:
                events.record(store, item, COMPONENT, "InternalError", str(error), warning=True)
                _write(store, item, {"state": "Failed", "description": str(error)})
    return plans


def report(store: Store, plans: list[Plan], *, routed: bool, refused: bool) -> None:
    """Write the status of each; `routed`: the ingress has taken all routes and endpoints; `refused`: it takes none.

    Upstream does not wait for the routes.  Here `Available` means that the next request is answered; it is kept while
    the Deployments stay ready, whatever happens to the routes of others.
    """
    for plan in plans:
        with contained(store, plan.item, COMPONENT):
            _write(store, plan.item, _status(store, plan, routed, refused))


def _reconcile(store: Store, item: Object) -> Plan:
    desired = derive(item)
    if item.get("status", {}).get("observedGeneration") != item["metadata"]["generation"]:
        for wanted in (*desired.services, *desired.deployments, desired.virtual_service):
            _check(store, wanted)  # What is refused in part is not begun.
        for words in without_effect(item):
            events.record(store, item, COMPONENT, "NoEffect", words)
    for wanted in (*desired.services, *desired.deployments):
        _ensure(store, item, wanted)
    namespace = item["metadata"]["namespace"]
    deployments = [store.get(DEPLOYMENT, namespace, wanted["metadata"]["name"]) for wanted in desired.deployments]
    ready = all(map(_is_ready, deployments))
    if ready:
        _ensure(store, item, desired.virtual_service)
        _remove_others(store, item, desired)
    return Plan(item, desired, deployments, ready)


def _check(store: Store, wanted: Object) -> None:
    """Raise what the API server would say of an object; nothing is written."""
    with suppress(AlreadyExists):  # which is said last
        store.create(BY_NAME[wanted["kind"]], wanted, dry_run=True)


def _ensure(store: Store, item: Object, wanted: Object) -> None:
    """Create an object, or make an existing one what it should be."""
    kind, metadata = BY_NAME[wanted["kind"]], wanted["metadata"]
    found = store.find(kind, metadata["namespace"], metadata["name"])
    if found and kind is DEPLOYMENT and found["spec"]["selector"] != wanted["spec"]["selector"]:
        # A selector cannot be changed.
        store.delete(kind, metadata["namespace"], metadata["name"])
        events.record(store, item, COMPONENT, "DeleteDeployment", f'Deleted Deployment "{metadata["name"]}"')
        found = store.find(kind, metadata["namespace"], metadata["name"])
    if found and kind is DEPLOYMENT:
        _keep_restart(found, wanted)
    if found is None:
        store.create(kind, wanted)
        events.record(store, item, COMPONENT, f"Create{kind.name}", f'Created {kind.name} "{metadata["name"]}"')
    else:

        def change(old: Object) -> Object:
            annotations = (old["metadata"].get("annotations") or {}) | metadata["annotations"]
            changed = old["metadata"] | {"labels": metadata["labels"], "annotations": annotations}
            return old | {"spec": wanted["spec"], "metadata": changed}

        changed = store.update(kind, metadata["namespace"], metadata["name"], change)
        if changed["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            events.record(store, item, COMPONENT, f"Update{kind.name}", f'Updated {kind.name} "{metadata["name"]}"')


def _keep_restart(found: Object, wanted: Object) -> None:
    """`kubectl rollout restart` leaves its mark on the Deployment's template; it is not the operator's to remove."""
    annotations = found["spec"]["template"]["metadata"].get("annotations") or {}
    if RESTARTED_AT in annotations:
        wanted["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT] = annotations[RESTARTED_AT]


def _remove_others(store: Store, item: Object, desired: Desired) -> None:
    for kind, wanted in ((DEPLOYMENT, desired.deployments), (SERVICE, desired.services)):
        names = {each["metadata"]["name"] for each in wanted}
        for found in store.all(kind, item["metadata"]["namespace"])[0]:
            metadata = found["metadata"]
            mine = any(owner["uid"] == item["metadata"]["uid"] for owner in metadata.get("ownerReferences", []))
            if mine and metadata["name"] not in names:
                store.delete(kind, metadata["namespace"], metadata["name"])
                events.record(store, item, COMPONENT, f"Delete{kind.name}", f'Deleted {kind.name} "{metadata["name"]}"')


def _is_ready(deployment: Object) -> bool:
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    current = status.get("observedGeneration") == deployment["metadata"]["generation"]
    updated = status.get("updatedReplicas", 0) == status.get("replicas", 0) == wanted
    return current and updated and status.get("readyReplicas", 0) == wanted and not status.get("unavailableReplicas")


def _status(store: Store, plan: Plan, routed: bool, refused: bool) -> Object:
    item, desired, deployments, ready = plan.item, plan.desired, plan.deployments, plan.ready
    before = item.get("status", {})
    routed = ready and (routed or before.get("state") == "Available")
    state, description = ("Available", "") if routed else ("Creating", _trouble(store, item))
    if ready and refused and not routed:
        description = "the ingress takes no new routes, since a VirtualService is faulty; see make logs"
    conditions = [c for deployment in deployments for c in deployment.get("status", {}).get("conditions", [])]
    failed = [c["type"] for c in conditions if c["status"] == "False"]
    if "Progressing" in failed and "Available" in failed:
        state = "Failed"
        description = "Deployment is no longer progressing and not available. " + description
    available: Object = next((c for c in conditions if c["type"] == "Available"), {})
    facts = {
        "DeploymentsReady": (ready, available.get("reason", ""), available.get("message", "")),
        "HpasReady": (True, "No HPAs defined", ""),
        "KedaReady": (True, "No KEDA resources defined", ""),
        "PdbsReady": (True, "No PDBs defined", ""),
        "Ready": (routed, "", ""),
        "ServicesReady": (True, "All services created", ""),
        "istioVirtualServicesReady": (
            routed,
            "All VirtualServices created" if routed else "Not all VirtualServices created",
            "",
        ),
    }
    return {
        "state": state,
        "description": description.strip(),
        "observedGeneration": item["metadata"]["generation"],
        "replicas": deployments[0].get("status", {}).get("replicas", 0) if deployments else 0,
        "address": address(item, desired.services[0]),
        "conditions": [condition(before, name, *fact) for name, fact in facts.items()],
        "deploymentStatus": {
            each["metadata"]["name"]: {
                "replicas": each.get("status", {}).get("replicas", 0),
                "availableReplicas": each.get("status", {}).get("availableReplicas", 0),
            }
            for each in deployments
        },
        "serviceStatus": {each["metadata"]["name"]: endpoint(item, each) for each in desired.services},
    }


def _trouble(store: Store, item: Object) -> str:
    """Why a Pod of the SeldonDeployment does not start, if the kubelet says so.

    That a container runs once more is no end of its trouble: until it is ready, what ended it before is the reason.
    """
    wanted = identity(item)
    for pod in store.all(POD, item["metadata"]["namespace"])[0]:
        for status in pod.get("status", {}).get("containerStatuses", []) if labels_match(pod, wanted) else []:
            waiting = status["state"].get("waiting", {})
            ended = {} if status["ready"] else status["lastState"].get("terminated", {})
            found = waiting if waiting.get("reason") in _TROUBLE else ended
            if found:
                return f"pod {pod['metadata']['name']}: {found['reason']}: {found.get('message', '')}"
    return ""


def _write(store: Store, item: Object, status: Object) -> None:
    """Write the status, unless the spec it speaks of is no longer the current one."""
    metadata = item["metadata"]

    def change(old: Object) -> Object:
        if old["metadata"]["generation"] != metadata["generation"] or old["metadata"]["uid"] != metadata["uid"]:
            return old
        return old | {"status": old.get("status", {}) | status}

    if store.find(SELDON, metadata["namespace"], metadata["name"]):
        store.update(SELDON, metadata["namespace"], metadata["name"], change, status=True)
