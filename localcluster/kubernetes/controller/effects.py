"""Which fields of a SeldonDeployment do something on one machine, and what to say of those that do not.

What is read is listed, not what is ignored: so a field that the schema takes and nobody thought of is told as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localcluster.kubernetes.state.kinds import Object

Read = dict[str, Any]
"""The fields that something reads: None where that takes the whole value, else what it reads of the value."""


def _read(*names: str, **inner: Read) -> Read:
    return dict.fromkeys(names, None) | inner


_SECONDS = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold")
_PROBE = _read(
    *_SECONDS, "exec", "grpc", httpGet=_read("path", "port", "scheme", "httpHeaders"), tcpSocket=_read("port")
)
"""Probes of the kinds `exec` and `grpc` are refused by the kubelet, as are init containers."""
_CONTAINER = _read(
    *("name", "image", "command", "args", "workingDir", "env", "envFrom"),
    ports=_read("name", "containerPort"),
    volumeMounts=_read("name", "mountPath"),
    **dict.fromkeys(("startupProbe", "readinessProbe", "livenessProbe"), _PROBE),
)
_ITEMS = _read("key", "path")
_VOLUME = _read(
    "name",
    emptyDir={},
    persistentVolumeClaim=_read("claimName"),
    secret=_read("secretName", "optional", items=_ITEMS),
    configMap=_read("name", "optional", items=_ITEMS),
)
_POD = _read("initContainers", "restartPolicy", "terminationGracePeriodSeconds", containers=_CONTAINER, volumes=_VOLUME)
COMPONENT = _read("replicas", metadata=_read("name", "labels", "annotations"), spec=_POD)
PREDICTOR = _read(
    *("name", "replicas", "traffic", "shadow", "annotations", "labels", "progressDeadlineSeconds"),
    graph=_read("name", "type", "methods", "parameters", endpoint=_read("type")),
    componentSpecs=COMPONENT,
)
SPEC = _read("name", "predictors", "annotations", "replicas", "protocol", "transport")

_AS_HERE = {
    "dnsPolicy": "ClusterFirst",
    "enableServiceLinks": True,
    "imagePullPolicy": "Always",
    "implementation": "UNKNOWN_IMPLEMENTATION",
    "protocol": "TCP",
    "schedulerName": "default-scheduler",
    "serverType": "rpc",
    "successThreshold": 1,
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
"""Values that ask for what happens here anyway, or that a server has written where nobody asked for anything."""
_SHARED = "the processes share the machine and its user"
_NODE = "there is one node, and nothing is placed or evicted"
_NETWORK = "the processes share the machine's network and its names"
_IMAGES = "images come from this machine's layout, where a new Pod looks its tag up again"
_ORCHESTRATOR = "there is no service orchestrator; requests go straight to the model's container"
_VOLUMES = "a volume is a directory of this machine, with its user's rights and without a limit"
_MODELS = "nothing fetches models; they are in the image"
_WHY = {
    "hpaSpec": "one machine does not scale by load; replicas counts here, on a cluster it does not beside hpaSpec",
    "kedaSpec": "one machine does not scale by load; replicas counts here",
    "pdbSpec": "there are no evictions on one machine",
    "lifecycle": "hooks are not run; a Pod that ends gets SIGTERM at once",
    "serverType": "requests come by REST and gRPC; there is no Kafka",
    **dict.fromkeys(("oauth_key", "oauth_secret"), "the ingress asks nobody who they are"),
    **dict.fromkeys(("serviceAccountName", "serviceAccount"), "Pods have no accounts"),
    **dict.fromkeys(("svcOrchSpec", "engineResources", "logger"), _ORCHESTRATOR),
    **dict.fromkeys(("service_host", "service_port", "httpPort", "grpcPort"), _ORCHESTRATOR),
    **dict.fromkeys(("modelUri", "envSecretRefName", "storageInitializerImage"), _MODELS),
    **dict.fromkeys(("resources", "securityContext", "runtimeClassName", "hostPID", "hostIPC"), _SHARED),
    **dict.fromkeys(("affinity", "nodeName", "nodeSelector", "tolerations", "topologySpreadConstraints"), _NODE),
    **dict.fromkeys(("schedulerName", "priority", "priorityClassName", "preemptionPolicy"), _NODE),
    **dict.fromkeys(("imagePullPolicy", "imagePullSecrets"), _IMAGES),
    **dict.fromkeys(("dnsPolicy", "dnsConfig", "hostAliases", "hostname", "subdomain", "hostNetwork"), _NETWORK),
    **dict.fromkeys(("hostPort", "hostIP", "host", "protocol"), _NETWORK),
    **dict.fromkeys(("readOnly", "sizeLimit", "medium", "defaultMode", "mode"), _VOLUMES),
}
_OTHERWISE = "nothing reads it on one machine"


def without_effect(item: Object) -> Iterator[str]:
    """A sentence for each reason why fields of the SeldonDeployment, or of one of its predictors, do nothing."""
    yield from _sentences("", item["spec"], SPEC)
    for predictor in item["spec"]["predictors"]:
        yield from _sentences(f"predictor {predictor['name']}: ", predictor, PREDICTOR)


def _sentences(owner: str, value: Object, read: Read) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for path in dict.fromkeys(_unread(value, read)):
        reason = _WHY.get(path.rpartition(".")[2], _OTHERWISE)
        found.setdefault(reason, []).append(path.removeprefix("componentSpecs."))
    for reason, paths in found.items():
        verb = "has" if len(paths) == 1 else "have"
        yield f"{owner}{', '.join(paths)} {verb} no effect on the local cluster: {reason}"


def _unread(value: Any, read: Read) -> Iterator[str]:
    """Paths of the fields that ask for something and that nothing reads; empty values and `false` ask for nothing."""
    for each in value if isinstance(value, list) else [value]:
        for name, inner in each.items():
            if not inner or inner == _AS_HERE.get(name):
                continue
            if name not in read:
                yield name
            elif (deeper := read[name]) is not None:
                yield from (f"{name}.{path}" for path in _unread(inner, deeper))
