"""Seldon's operator: what a SeldonDeployment asks for, as the Deployments, Services and VirtualService that it makes.

Names, labels, ports and environment as Seldon Core 1.17.1 gives them with `seldon.io/no-engine: "true"`; defaults are
computed here at every round and never written back to the SeldonDeployment.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from localcluster.kubernetes.state.kinds import DEPLOYMENT, SELDON, SERVICE, VIRTUAL_SERVICE, Object
from localcluster.kubernetes.state.seldon import SERVICE_NAME, VERSIONS

FIRST_HTTP_PORT, FIRST_GRPC_PORT, FIRST_METRICS_PORT = 9000, 9500, 6000
METRICS_PATH = "/prometheus"
_RETRIES = "seldon.io/istio-retries"
_GRPC_PATHS = ".*tensorflow.*|.*seldon.protos.*|.*inference.*"
_PROBE_DEFAULTS = {"periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3}
"""What a real API server fills in."""
_ROLES = {
    "MODEL": "model", "ROUTER": "router", "COMBINER": "combiner", "TRANSFORMER": "transformer",
    "OUTPUT_TRANSFORMER": "output-transformer",
}  # fmt: skip


@dataclass(frozen=True)
class Desired:
    """Everything one SeldonDeployment owns; the first service of `services` belongs to the first predictor."""

    deployments: list[Object]
    services: list[Object]
    virtual_service: Object


def derive(item: Object) -> Desired:
    """Compute the wanted objects, without anything the server fills in."""
    deployments, services = [], []
    names = dict.fromkeys(c["name"] for p in item["spec"]["predictors"] for c in _containers(p))
    numbers = {name: index for index, name in enumerate(names)}
    metrics = _metrics_ports(item)
    for predictor in item["spec"]["predictors"]:
        service, node = service_name(item, predictor), predictor["graph"]  # Its only one: no engine, no others.
        shared = {"seldon-app": service} | _roles(predictor, node)
        given = dict(predictor.get("annotations") or {})
        services.append(_service(item, service, {"seldon-app": service}, shared, given, _ports(predictor, numbers)))
        for index, part in enumerate(predictor.get("componentSpecs") or []):
            deployments.append(_deployment(item, predictor, index, part, numbers, metrics))
            for container in (each for each in part["spec"]["containers"] if each["name"] == node["name"]):
                selector = _container_label(item, predictor, container)
                labels = shared | selector
                (own,) = selector.values()
                services.append(_service(item, own, selector, labels, given, _container_ports(container, numbers)))
    return Desired(deployments, services, _virtual_service(item, numbers))


def service_name(item: Object, predictor: Object) -> str:
    """The name of a predictor's Service."""
    wanted = (predictor.get("annotations") or {}).get(SERVICE_NAME)
    return wanted or _short(f"{item['metadata']['name']}-{predictor['name']}")


def identity(item: Object) -> dict[str, str]:
    """The label of all that belongs to a SeldonDeployment."""
    return {"seldon-deployment-id": _short(item["metadata"]["name"])}


def endpoint(item: Object, service: Object) -> Object:
    """The `serviceStatus` entry of a Service."""
    name, ports = service["metadata"]["name"], {port["name"]: port["port"] for port in service["spec"]["ports"]}
    host = f"{name}.{item['metadata']['namespace']}"
    return {"svcName": name, "httpEndpoint": f"{host}:{ports['http']}", "grpcEndpoint": f"{host}:{ports['grpc']}"}


def address(item: Object, service: Object) -> Object:
    """The `address` of the status: the first predictor's Service inside the cluster, for the protocol spoken."""
    node = item["spec"]["predictors"][0]["graph"]["name"]
    paths = {"tensorflow": f"/v1/models/{node}:predict", "v2": f"/v2/models/{node}/infer"}
    paths["kfserving"] = paths["v2"]
    path = paths.get(item["spec"].get("protocol", ""), "/api/v1.0/predictions")
    host = f"{service['metadata']['name']}.{item['metadata']['namespace']}.svc.cluster.local"
    return {"url": f"http://{host}:{service['spec']['ports'][0]['port']}{path}"}


def _short(name: str) -> str:
    return name if len(name) <= 63 else "seldon-" + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def _containers(predictor: Object) -> list[Object]:
    return [container for part in predictor.get("componentSpecs") or [] for container in part["spec"]["containers"]]


def _version(predictor: Object) -> str:
    return str((predictor.get("labels") or {}).get("version", predictor["name"]))


def _roles(predictor: Object, node: Object) -> dict[str, str]:
    """The labels that say what a node is to its predictor."""
    kind = node.get("type") or ("" if "methods" in node or "implementation" in node else "MODEL")
    roles = [_ROLES[kind]] if kind in _ROLES else []
    return {f"seldon.io/{role}": "true" for role in [*roles, *(["shadow"] if predictor.get("shadow") else [])]}


def _container_label(item: Object, predictor: Object, container: Object) -> dict[str, str]:
    """The label by which the Service of a node's container finds its Pods; the value is the Service's name."""
    name = f"{item['metadata']['name']}-{predictor['name']}-{container['name']}"
    return {f"seldon-app-svc-{container['name']}": _short(name)}


def _ports(predictor: Object, numbers: dict[str, int]) -> tuple[int, int]:
    """HTTP and gRPC port of the container that serves the predictor (its graph's root)."""
    root = next(each for each in _containers(predictor) if each["name"] == predictor["graph"]["name"])
    return _container_ports(root, numbers)


def _declared(container: Object) -> dict[str | None, int]:
    """The numbers of a container's ports, by their names."""
    return {port.get("name"): port["containerPort"] for port in container.get("ports") or []}


def _container_ports(container: Object, numbers: dict[str, int]) -> tuple[int, int]:
    declared = _declared(container)
    number = numbers[container["name"]]
    return declared.get("http", FIRST_HTTP_PORT + number), declared.get("grpc", FIRST_GRPC_PORT + number)


def _metrics_ports(item: Object) -> dict[tuple[str, str], int]:
    """The port of each container's metrics, by predictor and container: unlike the others, no two share a number."""
    found: dict[tuple[str, str], int] = {}
    following = FIRST_METRICS_PORT
    for predictor in item["spec"]["predictors"]:
        node = predictor["graph"]["name"]
        for container in (each for each in _containers(predictor) if each["name"] == node):
            declared = _declared(container)
            found[predictor["name"], container["name"]] = declared.get("metrics", following)
            following += "metrics" not in declared
    return found


def _metadata(item: Object, name: str, labels: dict[str, str], annotations: dict[str, str]) -> Object:
    owner = SELDON.reference | {"name": item["metadata"]["name"], "uid": item["metadata"]["uid"]}
    return {
        "name": name,
        "namespace": item["metadata"]["namespace"],
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
    }


def _belonging(item: Object) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": "seldon-core"} | identity(item)


def _service(
    item: Object,
    name: str,
    selector: dict[str, str],
    labels: dict[str, str],
    annotations: dict[str, str],
    numbers: tuple[int, int],
) -> Object:
    ports = [
        {"name": label, "port": port, "targetPort": port, "protocol": "TCP"}
        for label, port in zip(("http", "grpc"), numbers, strict=True)
    ]
    spec = {"type": "ClusterIP", "clusterIP": "None", "ports": ports, "selector": selector}
    return SERVICE.reference | {"metadata": _metadata(item, name, _belonging(item) | labels, annotations), "spec": spec}


def _deployment(
    item: Object,
    predictor: Object,
    index: int,
    part: Object,
    numbers: dict[str, int],
    metrics: dict[tuple[str, str], int],
) -> Object:
    given = part.get("metadata") or {}
    suffix = given.get("name") or "-".join(container["name"] for container in part["spec"]["containers"])
    name = _short(f"{item['metadata']['name']}-{predictor['name']}-{index}-{suffix}")
    labels = {"app": name, "fluentd": "true", "version": _version(predictor)}
    labels |= (predictor.get("labels") or {}) | (given.get("labels") or {})
    labels |= _belonging(item) | ({"seldon.io/shadow": "true"} if predictor.get("shadow") else {})
    selector = identity(item)
    pod = copy.deepcopy(part["spec"])
    node = predictor["graph"]
    for container in pod["containers"]:
        if container["name"] == node["name"]:
            labels |= _roles(predictor, node)
            selector |= _container_label(item, predictor, container) | {"seldon-app": service_name(item, predictor)}
            _equip(item, predictor, node, container, numbers, metrics)
    labels |= selector
    pod.setdefault("terminationGracePeriodSeconds", 20)
    annotations = (
        (item["spec"].get("annotations") or {})
        | (predictor.get("annotations") or {})
        | (given.get("annotations") or {})
    )
    scraped = {"prometheus.io/path": METRICS_PATH, "prometheus.io/scrape": "true"}
    template = {"metadata": {"labels": labels, "annotations": scraped | annotations}, "spec": pod}
    levels = (part.get("replicas"), predictor.get("replicas"), item["spec"].get("replicas"), 1)
    spec = {
        "replicas": next(level for level in levels if level is not None),
        "selector": {"matchLabels": selector},
        "template": template,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "progressDeadlineSeconds": predictor.get("progressDeadlineSeconds", 600),
    }
    return DEPLOYMENT.reference | {"metadata": _metadata(item, name, dict(labels), annotations), "spec": spec}


def _equip(
    item: Object,
    predictor: Object,
    node: Object,
    container: Object,
    numbers: dict[str, int],
    metrics: dict[tuple[str, str], int],
) -> None:
    """Give a node's container its ports, probe and environment."""
    http, grpc = _container_ports(container, numbers)
    ports, declared = container.setdefault("ports", []), _declared(container)
    scraped = metrics[predictor["name"], container["name"]]
    for name, number in (("http", http), ("grpc", grpc), ("metrics", scraped)):
        if name not in declared:
            ports.append({"name": name, "containerPort": number, "protocol": "TCP"})
    ports.sort(key=lambda port: port.get("name") != "http")
    is_grpc = (node.get("endpoint") or {}).get("type") == "GRPC" or item["spec"].get("transport") == "grpc"
    container.setdefault("imagePullPolicy", "IfNotPresent")
    probe: Object = {"tcpSocket": {"port": "grpc" if is_grpc else "http"}, "periodSeconds": 5}
    for kind, delay in (("readinessProbe", 20), ("livenessProbe", 60)):
        container[kind] = _PROBE_DEFAULTS | (container.get(kind) or probe | {"initialDelaySeconds": delay})
        if "httpGet" in container[kind]:
            container[kind]["httpGet"] = {"path": "/", "scheme": "HTTP"} | container[kind]["httpGet"]
    labels = {"version": _version(predictor)} | (predictor.get("labels") or {})
    weak = {
        "PREDICTIVE_UNIT_SERVICE_PORT": grpc if is_grpc else http,
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": http,
        "MLSERVER_HTTP_PORT": http,
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": grpc,
        "MLSERVER_GRPC_PORT": grpc,
    } | ({"PREDICTIVE_UNIT_PARAMETERS": _json(node["parameters"])} if node.get("parameters") else {})
    strong = {
        "PREDICTIVE_UNIT_ID": node["name"],
        "MLSERVER_MODEL_NAME": node["name"],
        "PREDICTIVE_UNIT_IMAGE": container.get("image", ""),
        "PREDICTOR_ID": predictor["name"],
        "PREDICTOR_LABELS": _json(labels),
        "SELDON_DEPLOYMENT_ID": item["metadata"]["name"],
        "SELDON_EXECUTOR_ENABLED": "true",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": scraped,
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": METRICS_PATH,
        "MLSERVER_METRICS_PORT": scraped,
        "MLSERVER_METRICS_ENDPOINT": METRICS_PATH,
    }
    own = container.get("env") or []
    users = {variable["name"] for variable in own}
    container["env"] = [
        *own,
        *({"name": name, "value": str(value)} for name, value in weak.items() if name not in users),
        *({"name": name, "value": str(value)} for name, value in strong.items()),
    ]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _whole(annotations: dict[str, str], name: str, default: int) -> int:
    """A number in an annotation.  Raises ValueError: one that is none would keep Envoy from taking any route at all."""
    text = annotations.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise ValueError(f"the annotation {name} is {text!r}; give a whole number, without a unit")
    return int(text)


def _virtual_service(item: Object, numbers: dict[str, int]) -> Object:
    metadata = item["metadata"]
    annotations = (metadata.get("annotations") or {}) | (item["spec"].get("annotations") or {})
    name, namespace = metadata["name"], metadata["namespace"]
    prefix: Object = {"match": [{"uri": {"prefix": f"/seldon/{namespace}/{name}/"}}], "rewrite": {"uri": "/"}}
    headers = {"seldon": {"exact": name}, "namespace": {"exact": namespace}}
    routes = (prefix, {"match": [{"uri": {"regex": _GRPC_PATHS}, "headers": headers}]})
    retries = _retries(annotations)
    for index, route in enumerate(routes):
        route["route"] = []
        for predictor in item["spec"]["predictors"]:
            port = _ports(predictor, numbers)[index]
            host = f"{service_name(item, predictor)}.{namespace}.svc.cluster.local"
            destination = {"host": host, "subset": predictor["name"], "port": {"number": port}}
            if not predictor.get("shadow"):
                route["route"].append({"destination": destination, "weight": predictor.get("traffic", 0)})
                continue
            route["mirror"] = destination
            if predictor.get("traffic", 0) > 0:
                route["mirrorPercentage"] = {"value": float(predictor["traffic"])}
        if retries:
            route["retries"] = retries
    spec = {
        "hosts": [annotations.get("seldon.io/istio-host", "*")],
        "gateways": [annotations.get("seldon.io/istio-gateway", "seldon-gateway")],
        "http": list(routes),
    }
    versions = {VERSIONS: _json({each["name"]: _version(each) for each in item["spec"]["predictors"]})}
    return VIRTUAL_SERVICE.reference | {"metadata": _metadata(item, _short(name), {}, versions), "spec": spec}


def _retries(annotations: dict[str, str]) -> Object | None:
    attempts = _whole(annotations, _RETRIES, 0)
    seconds = _whole(annotations, f"{_RETRIES}-timeout", 1) if _RETRIES in annotations else 1
    retried_on = "gateway-error,connect-failure,refused-stream"
    return {"attempts": attempts, "perTryTimeout": f"{seconds}s", "retryOn": retried_on} if attempts else None
