"""The fields that objects may have, for strict validation, type checks and `kubectl explain`.

Notation: a string is a type (`map` = strings by name, `amount` = a quantity, `amounts` = quantities by name, `either` =
a number or a text, `time` = RFC 3339, `any` = not looked into), a dict an object, a list of one an array of it; `!`
after a name marks a required field.  Fields: Seldon Core 1.17.1's CRD and Kubernetes 1.32's API.
"""

from __future__ import annotations

from typing import Any

Schema = str | dict[str, Any] | list[Any]

METADATA: Schema = {
    **dict.fromkeys(("name", "generateName", "namespace", "uid", "resourceVersion", "selfLink"), "string"),
    **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), "time"),
    **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), "integer"),
    "labels": "map", "annotations": "map", "finalizers": ["string"], "managedFields": "any",
    "ownerReferences": [{**dict.fromkeys(("apiVersion", "kind", "name", "uid"), "string"),
                         **dict.fromkeys(("controller", "blockOwnerDeletion"), "boolean")}],
}  # fmt: skip
_PROBE: Schema = {
    "httpGet": {**dict.fromkeys(("path", "host", "scheme"), "string"), "port!": "either",
                "httpHeaders": [{"name!": "string", "value!": "string"}]},
    "tcpSocket": {"port!": "either", "host": "string"}, "exec": {"command": ["string"]},
    "grpc": {"port!": "integer", "service": "string"},
    **dict.fromkeys(
        ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold",
         "terminationGracePeriodSeconds"), "integer"),
}  # fmt: skip
_OBJECT: dict[str, Any] = {"name": "string", "optional": "boolean"}
_KEY: Schema = {**_OBJECT, "key!": "string"}
_SOURCE: Schema = {
    "fieldRef": {"apiVersion": "string", "fieldPath!": "string"}, "configMapKeyRef": _KEY, "secretKeyRef": _KEY,
    "resourceFieldRef": {"containerName": "string", "resource!": "string", "divisor": "amount"},
}  # fmt: skip
_CONTAINER: Schema = {
    "name!": "string", "image": "string", "command": ["string"], "args": ["string"], "workingDir": "string",
    "env": [{"name!": "string", "value": "string", "valueFrom": _SOURCE}],
    "envFrom": [{"prefix": "string", "configMapRef": _OBJECT, "secretRef": _OBJECT}],
    "ports": [{"containerPort!": "integer", "hostPort": "integer",
               **dict.fromkeys(("name", "hostIP", "protocol"), "string")}],
    **dict.fromkeys(("readinessProbe", "livenessProbe", "startupProbe"), _PROBE),
    **dict.fromkeys(
        ("imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy", "restartPolicy"), "string"),
    **dict.fromkeys(("stdin", "stdinOnce", "tty"), "boolean"),
    **dict.fromkeys(
        ("volumeDevices", "lifecycle", "securityContext", "resizePolicy"), "any"),
    "resources": {"limits": "amounts", "requests": "amounts", "claims": "any"},
    "volumeMounts": [{"name!": "string", "mountPath!": "string", "readOnly": "boolean",
                      **dict.fromkeys(("subPath", "subPathExpr", "mountPropagation", "recursiveReadOnly"), "string")}],
}  # fmt: skip
_ITEMS: Schema = [{"key!": "string", "path!": "string", "mode": "integer"}]
_VOLUME: Schema = {
    "name!": "string", "emptyDir": {"medium": "string", "sizeLimit": "amount"},
    "persistentVolumeClaim": {"claimName!": "string", "readOnly": "boolean"},
    "secret": {"secretName!": "string", "items": _ITEMS, "optional": "boolean", "defaultMode": "integer"},
    "configMap": {"name!": "string", "items": _ITEMS, "optional": "boolean", "defaultMode": "integer"},
    **dict.fromkeys(
        ("hostPath", "projected", "downwardAPI", "nfs", "csi", "ephemeral", "iscsi", "fc", "image", "cephfs", "rbd",
         "cinder", "flexVolume", "flocker", "gitRepo", "glusterfs", "quobyte", "scaleIO", "storageos", "azureDisk",
         "azureFile", "portworxVolume", "awsElasticBlockStore", "gcePersistentDisk", "photonPersistentDisk",
         "vsphereVolume"), "any"),
}  # fmt: skip
_POD_SPEC: Schema = {
    "volumes": [_VOLUME], "containers!": [_CONTAINER], "initContainers": [_CONTAINER], "ephemeralContainers": "any",
    **dict.fromkeys(
        ("affinity", "tolerations", "securityContext", "imagePullSecrets", "hostAliases", "dnsConfig", "os",
         "readinessGates", "overhead", "topologySpreadConstraints", "schedulingGates", "resourceClaims",
         "resources"), "any"),
    **dict.fromkeys(
        ("restartPolicy", "dnsPolicy", "serviceAccountName", "serviceAccount", "nodeName", "hostname", "subdomain",
         "schedulerName", "priorityClassName", "runtimeClassName", "preemptionPolicy"), "string"),
    **dict.fromkeys(("terminationGracePeriodSeconds", "activeDeadlineSeconds", "priority"), "integer"),
    **dict.fromkeys(
        ("hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace", "enableServiceLinks",
         "setHostnameAsFQDN", "automountServiceAccountToken"), "boolean"),
    "nodeSelector": "map",
}  # fmt: skip


def _graph(depth: int) -> Schema:
    node: dict[str, Any] = {
        "name!": "string", "type": "string", "implementation": "string", "methods": ["string"], "logger": "any",
        "endpoint": {"service_host": "string", "service_port": "integer", "type": "string", "httpPort": "integer",
                     "grpcPort": "integer"},
        "parameters": [{"name!": "string", "type!": "string", "value!": "string"}],
        **dict.fromkeys(("modelUri", "serviceAccountName", "envSecretRefName", "storageInitializerImage"), "string"),
    }  # fmt: skip
    return node | ({"children": [_graph(depth - 1)]} if depth else {})


_PREDICTOR: Schema = {
    "name!": "string", "graph!": _graph(5), "replicas": "integer", "traffic": "integer", "shadow": "boolean",
    "annotations": "map", "labels": "map",
    **dict.fromkeys(("engineResources", "svcOrchSpec", "explainer", "ssl"), "any"),
    "progressDeadlineSeconds": "integer",
    "componentSpecs": [{
        "metadata": METADATA, "spec!": _POD_SPEC, "replicas": "integer", "kedaSpec": "any",
        "hpaSpec": {"minReplicas": "integer", "maxReplicas!": "integer", "metrics": "any", "metricsv2": "any"},
        "pdbSpec": {"minAvailable": "any", "maxUnavailable": "any"},
    }],
}  # fmt: skip
_TEMPLATE: Schema = {"metadata": METADATA, "spec": _POD_SPEC}
_SERVICE_PORT: Schema = {
    "port!": "integer", "nodePort": "integer", "targetPort": "either",
    **dict.fromkeys(("name", "protocol", "appProtocol"), "string"),
}  # fmt: skip

_BODIES: dict[str, dict[str, Any]] = {
    "SeldonDeployment": {
        "spec": {
            "predictors!": [_PREDICTOR], "annotations": "map", "replicas": "integer",
            **dict.fromkeys(("name", "oauth_key", "oauth_secret", "protocol", "transport", "serverType"), "string"),
        }
    },
    "Deployment": {
        "spec": {
            "template!": _TEMPLATE,
            "selector!": {"matchLabels": "map",
                          "matchExpressions": [{"key": "string", "operator": "string", "values": ["string"]}]},
            "strategy": {"type": "string", "rollingUpdate": dict.fromkeys(("maxSurge", "maxUnavailable"), "either")},
            "paused": "boolean",
            **dict.fromkeys(
                ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"), "integer"),
        }
    },
    "ReplicaSet": {"spec": "any"},
    "Pod": {"spec!": _POD_SPEC},
    "Service": {
        "spec": {
            "ports": [_SERVICE_PORT], "selector": "map", "clusterIPs": ["string"], "externalIPs": ["string"],
            "ipFamilies": ["string"], "loadBalancerSourceRanges": ["string"], "sessionAffinityConfig": "any",
            **dict.fromkeys(
                ("type", "clusterIP", "externalName", "sessionAffinity", "externalTrafficPolicy",
                 "internalTrafficPolicy",
                 "ipFamilyPolicy", "loadBalancerIP", "loadBalancerClass", "trafficDistribution"), "string"),
            **dict.fromkeys(("publishNotReadyAddresses", "allocateLoadBalancerNodePorts"), "boolean"),
            "healthCheckNodePort": "integer",
        }
    },
    "PersistentVolumeClaim": {
        "spec!": {
            "accessModes!": ["string"], "resources!": {"requests": "amounts", "limits": "amounts"},
            **dict.fromkeys(("storageClassName", "volumeMode", "volumeName", "volumeAttributesClassName"), "string"),
            **dict.fromkeys(("selector", "dataSource", "dataSourceRef"), "any"),
        }
    },
    "Secret": {"data": "map", "stringData": "map", "type": "string", "immutable": "boolean"},
    "ConfigMap": {"data": "map", "binaryData": "map", "immutable": "boolean"},
    "Namespace": {"spec": {"finalizers": ["string"]}},
    "VirtualService": {"spec": "any"},
    "Event": {
        "involvedObject": dict.fromkeys(
            ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"), "string"),
        "source": {"component": "string", "host": "string"}, "series": "any", "related": "any",
        **dict.fromkeys(("firstTimestamp", "lastTimestamp"), "time"),
        **dict.fromkeys(
            ("reason", "message", "type", "eventTime", "action", "reportingComponent", "reportingInstance"), "string"),
        "count": "integer",
    },
}  # fmt: skip


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of a whole object of the kind, in this module's notation."""
    status = {} if kind in ("Secret", "ConfigMap", "Event") else {"status": "any"}
    return {"apiVersion": "string", "kind": "string", "metadata": METADATA, **_BODIES[kind], **status}


def openapi(schema: Schema) -> dict[str, Any]:
    """The same as an OpenAPI v3 schema."""
    if isinstance(schema, list):
        return {"type": "array", "items": openapi(schema[0])}
    if isinstance(schema, dict):
        required = [name[:-1] for name in schema if name.endswith("!")]
        properties = {name.removesuffix("!"): openapi(value) for name, value in schema.items()}
        return {"type": "object", "properties": properties} | ({"required": required} if required else {})
    if schema in ("map", "amounts"):
        return {"type": "object", "additionalProperties": {"type": "string"}}
    return {"type": {"any": "object", "either": "string", "amount": "string", "time": "string"}.get(schema, schema)}
