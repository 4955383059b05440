"""Objects for the tests: small, valid, and without a Pod that would have to run."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def config_map(name: str = "c", data: Any = None, **metadata: Any) -> Object:
    """A ConfigMap with one entry."""
    found = {"a": "1"} if data is None else data
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": found}


def secret(name: str = "s", **fields: Any) -> Object:
    """A Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **fields}


def deployment(name: str = "d", **spec: Any) -> Object:
    """A Deployment of no replicas; `spec` replaces fields of its spec."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "m", "image": "registry/image:v1"}]}}
    whole = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": whole}


def with_container(**fields: Any) -> Object:
    """A Deployment `n` whose container has other fields."""
    item = deployment("n")
    item["spec"]["template"]["spec"]["containers"][0] |= fields
    return item


def with_pod(**fields: Any) -> Object:
    """A Deployment `n` whose Pods' spec has other fields."""
    item = deployment("n")
    item["spec"]["template"]["spec"] |= fields
    return item


def event(name: str = "n", **fields: Any) -> Object:
    """An Event of nothing."""
    return {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, **fields}


def service(name: str = "v", **spec: Any) -> Object:
    """A Service of one port."""
    whole = {"ports": [{"port": 80}], "selector": {"a": "b"}, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": whole}


def seldon(name: str = "m", **predictor: Any) -> Object:
    """A SeldonDeployment of no replicas; `predictor` replaces fields of its predictor."""
    container = {"name": "clf", "image": "registry/image:v1"}
    whole = {
        "name": "default",
        "replicas": 0,
        "annotations": {"seldon.io/no-engine": "true"},
        "graph": {"name": "clf", "type": "MODEL"},
        "componentSpecs": [{"spec": {"containers": [container]}}],
        **predictor,
    }
    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": name},
        "spec": {"predictors": [whole]},
    }


def in_seldon(**fields: Any) -> Object:
    """A SeldonDeployment `n` whose container has other fields."""
    item = seldon("n")
    item["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0] |= fields
    return item
