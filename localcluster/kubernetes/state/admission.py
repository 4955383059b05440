"""What every object passes before it is stored: defaults, the rules of its kind, and the webhooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from localcluster.kubernetes.errors import Cause, Invalid
from localcluster.kubernetes.state import defaults, metadata, seldon, services, settings, volumes, workloads
from localcluster.kubernetes.state.kinds import (
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    NAMESPACE,
    POD,
    SECRET,
    SELDON,
    SERVICE,
    Kind,
    Object,
)
from localcluster.kubernetes.state.validation import check

_NAMES_PATH = "kubernetes.io/metadata.name"
_SERVICE_ADDRESS = "None"
"""Services have no addresses of their own on one machine, so they are headless unless they name one."""


def admit(kind: Kind, item: Object, old: Object | None) -> None:
    """Default and check `item` in place; raises Invalid."""
    if kind.custom:
        check(kind, item)
    elif prepare := _DEFAULTS.get(kind.name):
        prepare(item)
    causes = list(metadata.faults(kind, item["metadata"], old and old["metadata"]))
    if rules := _RULES.get(kind.name):
        causes += rules(item, old)
    if causes:
        raise Invalid(kind.name, kind.group, item["metadata"].get("name") or "", causes)
    if kind is SELDON:
        seldon.validate(item)


def _namespace(item: Object) -> None:
    item["spec"] = item.get("spec") or {"finalizers": ["kubernetes"]}
    if name := item["metadata"].get("name"):
        labels = item["metadata"]["labels"] = item["metadata"].get("labels") or {}
        labels[_NAMES_PATH] = name
    item.setdefault("status", {"phase": "Active"})


def _pod(item: Object) -> None:
    if item.get("spec"):
        item["spec"].setdefault("enableServiceLinks", True)
        defaults.pod(item["spec"])
    item.setdefault("status", {"phase": "Pending", "qosClass": "BestEffort"})


def _deployment(item: Object) -> None:
    spec = item["spec"] = item.get("spec") or {}
    spec["template"] = spec.get("template") or {}
    defaults.deployment(item)


def _claim(item: Object) -> None:
    spec = item["spec"] = item.get("spec") or {}
    spec.setdefault("volumeMode", "Filesystem")


def _service(item: Object) -> None:
    defaults.service(item)
    spec = item["spec"]
    item.setdefault("status", {"loadBalancer": {}})
    if spec["type"] != "ExternalName" and (spec.get("ports") or spec.get("clusterIP")):
        spec["clusterIP"] = spec.get("clusterIP") or _SERVICE_ADDRESS
        spec["clusterIPs"] = [spec["clusterIP"]]


def _pod_faults(item: Object, _: Object | None) -> Iterator[Cause]:
    if not item.get("spec"):
        yield Cause("spec.containers", "Required value")
    else:
        yield from workloads.pod_faults("spec", item["spec"])


_DEFAULTS: dict[str, Callable[[Object], None]] = {
    NAMESPACE.name: _namespace,
    POD.name: _pod,
    DEPLOYMENT.name: _deployment,
    SERVICE.name: _service,
    SECRET.name: settings.secret_defaults,
    CLAIM.name: _claim,
}
_RULES: dict[str, Callable[[Object, Object | None], Iterator[Cause]]] = {
    POD.name: _pod_faults,
    DEPLOYMENT.name: workloads.deployment_faults,
    SERVICE.name: services.faults,
    SECRET.name: settings.secret_faults,
    CONFIG_MAP.name: settings.config_map_faults,
    CLAIM.name: volumes.claim_faults,
}
