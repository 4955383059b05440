"""The values that the API server writes into built-in kinds where their author left them out."""

from __future__ import annotations

from localcluster.kubernetes.state.kinds import Object

_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_ROLLING = {"maxUnavailable": "25%", "maxSurge": "25%"}


def deployment(item: Object) -> None:
    """A Deployment, its template included."""
    spec = item["spec"]
    _default(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = spec["strategy"] = spec.get("strategy") or {}
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        strategy["rollingUpdate"] = _ROLLING | (strategy.get("rollingUpdate") or {})
    template = spec["template"]
    template["metadata"] = {"creationTimestamp": None} | (template.get("metadata") or {})
    if template.get("spec"):
        pod(template["spec"])


def pod(spec: Object) -> None:
    """A Pod's spec."""
    _default(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    for volume in spec.get("volumes") or []:
        if volume.keys() <= {"name"}:
            volume["emptyDir"] = {}
        for field in ("secret", "configMap"):
            if isinstance(volume.get(field), dict):
                _default(volume[field], defaultMode=420)
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _container(container)


def service(item: Object) -> None:
    """A Service, but for its address."""
    spec = item.get("spec")
    spec = item["spec"] = {} if spec is None else spec
    _default(spec, type="ClusterIP", sessionAffinity="None")
    if spec["type"] != "ExternalName":
        _default(spec, internalTrafficPolicy="Cluster", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _default(spec, externalTrafficPolicy="Cluster")
    for port in spec.get("ports") or []:
        _default(port, protocol="TCP", targetPort=port.get("port") or 0)


def _container(container: Object) -> None:
    image = container.get("image") or ""
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    pinned = "@" in image or tag not in ("", "latest")
    _default(
        container,
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy="IfNotPresent" if pinned else "Always",
        resources={},
    )
    for port in container.get("ports") or []:
        _default(port, protocol="TCP")
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        if probe := container.get(name):
            _default(probe, **_PROBE)
            if isinstance(probe.get("httpGet"), dict):
                _default(probe["httpGet"], path="/", scheme="HTTP")
    for variable in container.get("env") or []:
        source = variable.get("valueFrom")
        if isinstance(source, dict) and isinstance(source.get("fieldRef"), dict):
            _default(source["fieldRef"], apiVersion="v1")


def _default(item: Object, **values: object) -> None:
    for name, value in values.items():
        if item.get(name) is None:
            item[name] = value
