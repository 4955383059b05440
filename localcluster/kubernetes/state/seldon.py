"""Seldon's validating webhook for SeldonDeployments (operator 1.17.1), plus what this stand-in cannot run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from localcluster.kubernetes.errors import Cause, Invalid
from localcluster.kubernetes.state import volumes
from localcluster.kubernetes.state.kinds import Object

NO_ENGINE = "seldon.io/no-engine"
SERVICE_NAME = "seldon.io/svc-name"
VERSIONS = "localcluster/versions"
"""Annotation of a VirtualService: the label `version` of each subset's Pods; a cluster has it in DestinationRules."""
WEBHOOK = "v1.vseldondeployment.kb.io"
_KNOWN_IMPLEMENTATIONS = ("", "UNKNOWN_IMPLEMENTATION")
_CHOICES = {
    "protocol": ("", "seldon", "tensorflow", "kfserving", "v2"),
    "transport": ("", "rest", "grpc"),
    "serverType": ("", "rpc", "kafka"),
}


def validate(item: Object) -> None:
    """Raise Invalid with every fault found, worded as the webhook words it."""
    spec = item.get("spec") or {}
    causes = [*_upstream(spec), *_beyond_this_machine(spec)]
    if causes:
        raise Invalid("SeldonDeployment", "machinelearning.seldon.io", spec.get("name", ""), causes, WEBHOOK)


def _upstream(spec: Object) -> Iterator[Cause]:
    predictors = spec.get("predictors") or []
    for field, allowed in _CHOICES.items():
        if spec.get(field, "") not in allowed:
            yield Cause.invalid("spec", spec[field], f"Invalid {field}")
    if len(predictors) == 1 and predictors[0].get("shadow"):
        yield Cause.invalid("spec.predictors[0]", predictors[0]["name"], "Shadow can not exist as only predictor")
    if not predictors:
        yield Cause.invalid("spec", spec.get("transport", ""), "Graph contains no predictors")
    yield from _duplicates(predictors)
    for index, predictor in enumerate(predictors):
        path = f"spec.predictors[{index}]"
        if NO_ENGINE in (predictor.get("annotations") or {}) and predictor["graph"].get("children"):
            yield Cause.invalid(path, predictor["name"], "Running without engine only valid for single element graphs")
        yield from _graph(f"{path}.graph", predictor["graph"], _containers(predictor))
    yield from _traffic(predictors)


def _duplicates(predictors: list[Object]) -> Iterator[Cause]:
    names: Counter[str] = Counter()
    services: Counter[str] = Counter()
    for index, predictor in enumerate(predictors):
        path, name = f"spec.predictors[{index}]", predictor["name"]
        service = (predictor.get("annotations") or {}).get(SERVICE_NAME)
        if service and services[service]:
            text = f"Found duplicate service name in {SERVICE_NAME} with value {service}"
            yield Cause.invalid(path, name, text)
        if names[name]:
            yield Cause.invalid(path, name, "Duplicate predictor name")
        names[name] += 1
        services[service or ""] += 1


def _containers(predictor: Object) -> set[str]:
    specs = predictor.get("componentSpecs") or []
    return {container["name"] for spec in specs for container in spec["spec"].get("containers") or []}


def _graph(path: str, node: Object, containers: set[str]) -> Iterator[Cause]:
    implementation = node.get("implementation", "")
    if implementation in _KNOWN_IMPLEMENTATIONS:
        if node["name"] not in containers:
            yield Cause.invalid(path, node["name"], "Can't find container for Predictive Unit")
        absent = not node.get("type") and not node.get("methods") and not implementation
        if not absent and node.get("type", "UNKNOWN_TYPE") == "UNKNOWN_TYPE" and not node.get("methods"):
            yield Cause.invalid(
                path,
                node["name"],
                "Predictive Unit has no implementation methods defined. Change to a known type or add what methods it "
                "defines",
            )
    elif not node.get("modelUri"):
        yield Cause.invalid(path, node["name"], "Predictive unit modelUri required when using standalone servers")
    for index, child in enumerate(node.get("children") or []):
        yield from _graph(f"{path}[{index}]", child, containers)


def _traffic(predictors: list[Object]) -> Iterator[Cause]:
    shadows = [predictor for predictor in predictors if predictor.get("shadow")]
    live = [predictor.get("traffic", 0) for predictor in predictors if not predictor.get("shadow")]
    if len(shadows) > 1:
        yield Cause.invalid("spec", shadows[1]["name"], "Multiple shadows are not allowed")
    for shadow in shadows:
        if not 0 <= shadow.get("traffic", 0) <= 100:
            text = "shadow traffic is illegal, the traffic number should be between [0, 100]"
            yield Cause.invalid("spec", shadow["name"], text)
    if len(live) > 1 and sum(live) != 100:
        yield Cause.invalid("spec", predictors[0]["name"], "Traffic must sum to 100 for multiple predictors")
    if len(predictors) == 1 and 0 < sum(live) < 100:
        text = "Traffic must sum be 100 for a single predictor when set"
        yield Cause.invalid("spec", predictors[0]["name"], text)


def _beyond_this_machine(spec: Object) -> Iterator[Cause]:
    for index, predictor in enumerate(spec.get("predictors") or []):
        path = f"spec.predictors[{index}]"
        annotation = (predictor.get("annotations") or {}).get(NO_ENGINE, "")
        if annotation.lower() != "true":
            yield Cause.invalid(
                f"{path}.annotations",
                annotation,
                f'the local cluster has no service orchestrator; set {NO_ENGINE}: "true" in the annotations of the '
                "predictor, so that requests go straight to the model's container, on a cluster as well as here",
            )
        if predictor["graph"].get("implementation", "") not in _KNOWN_IMPLEMENTATIONS:
            yield Cause.invalid(
                f"{path}.graph",
                predictor["graph"]["implementation"],
                "the local cluster has no prepackaged servers; give a container in componentSpecs",
            )
        for number, part in enumerate(predictor.get("componentSpecs") or []):
            yield from volumes.faults(f"{path}.componentSpecs[{number}].spec", part["spec"])
        for field in ("explainer", "ssl"):
            if predictor.get(field):
                yield Cause.invalid(f"{path}.{field}", predictor["name"], f"{field} is not served by the local cluster")
