"""What every object passes before it is stored: validation, the webhooks, and the defaults kubectl relies on."""

from __future__ import annotations

import base64

from localcluster.kubernetes.errors import Cause, Invalid
from localcluster.kubernetes.state import seldon, volumes
from localcluster.kubernetes.state.kinds import (
    CLAIM,
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


def admit(kind: Kind, item: Object, old: Object | None) -> None:
    """Default and check `item` in place; raises Invalid."""
    check(kind, item)
    if kind is SELDON:
        seldon.validate(item)
    elif kind is SECRET:
        _secret(item)
    elif kind is DEPLOYMENT:
        _deployment(item, old)
    elif kind is SERVICE:
        spec = item.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("clusterIP", "None")
    elif kind is NAMESPACE:
        item.setdefault("spec", {"finalizers": ["kubernetes"]})
        item["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = item["metadata"]["name"]
        item.setdefault("status", {"phase": "Active"})
    elif kind is CLAIM:
        volumes.check_claim(item, old)
    elif kind is POD:
        item["spec"].setdefault("restartPolicy", "Always")
        item["spec"].setdefault("terminationGracePeriodSeconds", 30)


def _secret(item: Object) -> None:
    item.setdefault("type", "Opaque")
    for name, value in item.pop("stringData", {}).items():
        item.setdefault("data", {})[name] = base64.b64encode(value.encode()).decode()
    for name, value in (item.get("data") or {}).items():
        try:
            base64.b64decode(value, validate=True)
        except ValueError as error:
            raise Invalid(
                "Secret", "", item["metadata"]["name"], [Cause(f"data.{name}", f"not base64: {error}")]
            ) from error


def _deployment(item: Object, old: Object | None) -> None:
    spec = item["spec"]
    spec.setdefault("replicas", 1)
    if causes := list(volumes.faults("spec.template.spec", spec["template"]["spec"])):
        raise Invalid("Deployment", "apps", item["metadata"]["name"], causes)
    spec.setdefault("progressDeadlineSeconds", 600)
    spec.setdefault(
        "strategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    )
    wanted = spec["selector"].get("matchLabels") or {}
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    name = item["metadata"]["name"]
    if not wanted or any(labels.get(key) != value for key, value in wanted.items()):
        cause = Cause.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
        raise Invalid("Deployment", "apps", name, [cause])
    if old and old["spec"]["selector"] != spec["selector"]:
        raise Invalid("Deployment", "apps", name, [Cause.invalid("spec.selector", wanted, "field is immutable")])
