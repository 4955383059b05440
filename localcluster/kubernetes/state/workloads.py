"""Rules of Pods and Deployments, after their defaults have been written into them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from localcluster.kubernetes.errors import Cause
from localcluster.kubernetes.state import metadata, names, volumes
from localcluster.kubernetes.state.kinds import Object
from localcluster.kubernetes.state.quantities import quantity

_REQUIRED = "Required value"
_NEGATIVE = "must be greater than or equal to 0"
_NO_ROLLING = "(*apps.RollingUpdateDeployment)(nil)"
PROTOCOLS = ("SCTP", "TCP", "UDP")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")
_ONE_SOURCE = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
_REFERENCES = ("configMapRef", "secretRef")
_MANY = "may not have more than one field specified at a time"
_PERCENT = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
_PERCENT += "regex used for validation is '[0-9]+%')"


def deployment_faults(item: Object, old: Object | None) -> Iterator[Cause]:
    """Everything wrong with a Deployment's spec."""
    spec = item["spec"]
    yield from _not_negative("spec", spec, "replicas")
    faults = list(_selector("spec.selector", spec.get("selector")))
    yield from faults
    if any(cause.field != "spec.selector" for cause in faults):
        shown = _selector_shown(spec["selector"])
        yield Cause("spec.selector", f"Invalid value: {shown}: invalid label selector")
    else:
        yield from _template(spec["template"], spec.get("selector"))
    yield from _strategy("spec.strategy", spec["strategy"])
    yield from _not_negative("spec", spec, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    if spec["progressDeadlineSeconds"] <= spec.get("minReadySeconds", 0):
        text = "must be greater than minReadySeconds"
        yield Cause.invalid("spec.progressDeadlineSeconds", spec["progressDeadlineSeconds"], text)
    if old and old["spec"].get("selector") != spec.get("selector"):
        yield Cause("spec.selector", f"Invalid value: {_selector_shown(spec['selector'])}: field is immutable")


def pod_faults(path: str, spec: Object) -> Iterator[Cause]:
    """Everything wrong with a Pod's spec, which lies at `path`."""
    yield from volumes.volume_faults(path, spec)
    containers = spec.get("containers") or []
    if not containers:
        yield Cause(f"{path}.containers", _REQUIRED)
    for kind in ("containers", "initContainers"):
        seen: set[str] = set()
        for index, container in enumerate(spec.get(kind) or []):
            where = f"{path}.{kind}[{index}]"
            yield from _container(where, container, volumes.names(spec))
            name = container.get("name") or ""
            if name in seen:
                yield Cause(f"{where}.name", f'Duplicate value: "{name}"')
            seen.add(name)
            if kind == "containers":
                yield from _probes(where, container)
    if spec["restartPolicy"] not in ("Always", "OnFailure", "Never"):
        yield Cause.unsupported(f"{path}.restartPolicy", spec["restartPolicy"], "Always", "OnFailure", "Never")
    policies = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
    if spec["dnsPolicy"] not in policies:
        yield Cause.unsupported(f"{path}.dnsPolicy", spec["dnsPolicy"], *policies)
    yield from metadata.labels(f"{path}.nodeSelector", spec.get("nodeSelector"))


def port_number_faults(path: str, number: int) -> Iterator[Cause]:
    """Everything wrong with a port's number."""
    if not 1 <= number <= 65535:
        yield Cause.invalid(path, number, "must be between 1 and 65535, inclusive")


def port_name_faults(path: str, name: str) -> Iterator[Cause]:
    """Everything wrong with a port's name."""
    if len(name) > 15:
        yield Cause.invalid(path, name, names.too_long(15))
    if not re.fullmatch(r"[-a-z0-9]+", name):
        yield Cause.invalid(path, name, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", name):
        yield Cause.invalid(path, name, "must contain at least one letter (a-z)")
    if "--" in name:
        yield Cause.invalid(path, name, "must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        yield Cause.invalid(path, name, "must not begin or end with a hyphen")


def _template(template: Object, selector: Object | None) -> Iterator[Cause]:
    found = (template.get("metadata") or {}).get("labels") or {}
    wanted = (selector or {}).get("matchLabels") or {}
    if selector is None or any(found.get(key) != value for key, value in wanted.items()):
        text = "`selector` does not match template `labels`"
        yield Cause.invalid("spec.template.metadata.labels", found, text)
    yield from metadata.labels("spec.template.labels", found)
    path, spec = "spec.template.spec", template.get("spec")
    if not spec:
        yield Cause(f"{path}.containers", _REQUIRED)
        return
    yield from pod_faults(path, spec)
    if spec["restartPolicy"] != "Always":
        yield Cause.unsupported(f"{path}.restartPolicy", spec["restartPolicy"], "Always")


def _selector(path: str, selector: Object | None) -> Iterator[Cause]:
    if selector is None:
        yield Cause(path, _REQUIRED)
        return
    yield from metadata.labels(f"{path}.matchLabels", selector.get("matchLabels"))
    expressions = selector.get("matchExpressions") or []
    for index, each in enumerate(expressions):
        operator, where = each.get("operator", ""), f"{path}.matchExpressions[{index}]"
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            yield Cause.invalid(f"{where}.operator", operator, "not a valid selector operator")
        elif operator in ("In", "NotIn") and not each.get("values"):
            yield Cause(f"{where}.values", f"{_REQUIRED}: must be specified when `operator` is 'In' or 'NotIn'")
    if not selector.get("matchLabels") and not expressions:
        text = "empty selector is invalid for deployment"
        yield Cause(path, f"Invalid value: {_selector_shown(selector)}: {text}")


def _selector_shown(selector: Object) -> str:
    """As the server holds a selector in memory."""
    wanted = selector.get("matchLabels") or {}
    pairs = ", ".join(f'"{key}":"{wanted[key]}"' for key in sorted(wanted))
    labels = f"map[string]string{{{pairs}}}" if wanted else "map[string]string(nil)"
    expressions = ", ".join(map(_expression_shown, selector.get("matchExpressions") or []))
    shown = f"[]v1.LabelSelectorRequirement{{{expressions}}}" if expressions else "[]v1.LabelSelectorRequirement(nil)"
    return f"v1.LabelSelector{{MatchLabels:{labels}, MatchExpressions:{shown}}}"


def _expression_shown(expression: Object) -> str:
    values = ", ".join(f'"{value}"' for value in expression.get("values") or [])
    shown = f"[]string{{{values}}}" if values else "[]string(nil)"
    key, operator = expression.get("key", ""), expression.get("operator", "")
    return f'v1.LabelSelectorRequirement{{Key:"{key}", Operator:"{operator}", Values:{shown}}}'


def _strategy(path: str, strategy: Object) -> Iterator[Cause]:
    if strategy["type"] == "Recreate":
        if strategy.get("rollingUpdate") is not None:
            yield Cause(f"{path}.rollingUpdate", "Forbidden: may not be specified when strategy `type` is 'Recreate'")
    elif strategy["type"] != "RollingUpdate":
        shown = f'apps.DeploymentStrategy{{Type:"{strategy["type"]}", RollingUpdate:{_NO_ROLLING}}}'
        yield Cause(path, f'Unsupported value: {shown}: supported values: "Recreate", "RollingUpdate"')
    else:
        rolling = strategy["rollingUpdate"]
        for field in ("maxUnavailable", "maxSurge"):
            yield from _share(f"{path}.rollingUpdate.{field}", rolling[field])
        if all(str(rolling[field]) in ("0", "0%") for field in ("maxSurge", "maxUnavailable")):
            kind, text = (1, rolling["maxUnavailable"]) if isinstance(rolling["maxUnavailable"], str) else (0, "")
            shown = f'intstr.IntOrString{{Type:{kind}, IntVal:0, StrVal:"{text}"}}'
            where = f"{path}.rollingUpdate.maxUnavailable"
            yield Cause(where, f"Invalid value: {shown}: may not be 0 when `maxSurge` is 0")


def _share(path: str, value: int | str) -> Iterator[Cause]:
    """Everything wrong with a number, or percentage, of replicas."""
    shown = f'Invalid value: intstr.IntOrString{{Type:1, IntVal:0, StrVal:"{value}"}}'
    if isinstance(value, int):
        if value < 0:
            yield Cause.invalid(path, value, _NEGATIVE)
    elif not re.fullmatch("[0-9]+%", value):
        yield Cause(path, f"{shown}: {_PERCENT}")
    elif path.endswith("maxUnavailable") and int(value[:-1]) > 100:
        yield Cause(path, f"{shown}: must not be greater than 100%")


def _container(path: str, container: Object, mounted: set[str]) -> Iterator[Cause]:
    yield from metadata.required(f"{path}.name", container.get("name") or "", names.label)
    if not container.get("image"):
        yield Cause(f"{path}.image", _REQUIRED)
    yield from _ports(f"{path}.ports", container.get("ports") or [])
    for index, variable in enumerate(container.get("env") or []):
        yield from _variable(f"{path}.env[{index}]", variable)
    yield from _env_from(f"{path}.envFrom", container.get("envFrom") or [])
    yield from volumes.mount_faults(path, container, mounted)
    if container["imagePullPolicy"] not in ("Always", "IfNotPresent", "Never"):
        policy = container["imagePullPolicy"]
        yield Cause.unsupported(f"{path}.imagePullPolicy", policy, "Always", "IfNotPresent", "Never")
    yield from _resources(f"{path}.resources", container.get("resources") or {})


def _ports(path: str, ports: list[Object]) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        where, name = f"{path}[{index}]", port.get("name") or ""
        if name:
            faults = list(port_name_faults(f"{where}.name", name))
            yield from faults
            if not faults and name in seen:
                yield Cause(f"{where}.name", f'Duplicate value: "{name}"')
            seen.add(name)
        if not port.get("containerPort"):
            yield Cause(f"{where}.containerPort", _REQUIRED)
        else:
            yield from port_number_faults(f"{where}.containerPort", port["containerPort"])
        if port["protocol"] not in PROTOCOLS:
            yield Cause.unsupported(f"{where}.protocol", port["protocol"], *PROTOCOLS)


def _variable(path: str, variable: Object) -> Iterator[Cause]:
    yield from metadata.required(f"{path}.name", variable.get("name") or "", names.environment)
    source = variable.get("valueFrom")
    if source is None:
        return
    given = [each for each in _SOURCES if source.get(each) is not None]
    if not given:
        yield Cause.invalid(f"{path}.valueFrom", "", _ONE_SOURCE)
    elif variable.get("value"):
        yield Cause.invalid(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        yield Cause.invalid(f"{path}.valueFrom", "", _MANY)
    else:
        yield from _reference(f"{path}.valueFrom.{given[0]}", given[0], source[given[0]])


def _reference(path: str, kind: str, source: Object) -> Iterator[Cause]:
    """Everything wrong with where a variable's value comes from."""
    field = {"fieldRef": "fieldPath", "resourceFieldRef": "resource"}.get(kind)
    if field and not source.get(field):
        yield Cause(f"{path}.{field}", _REQUIRED)
    if field is None:
        name = source.get("name") or ""
        yield from (Cause.invalid(f"{path}.name", name, fault) for fault in names.subdomain(name))
        yield from metadata.required(f"{path}.key", source.get("key") or "", names.config_key)


def _env_from(path: str, sources: list[Object]) -> Iterator[Cause]:
    for index, source in enumerate(sources):
        given = [each for each in _REFERENCES if source.get(each) is not None]
        for each in given:
            where = f"{path}[{index}].{each}.name"
            yield from metadata.required(where, source[each].get("name") or "", names.subdomain)
        if len(given) != 1:
            yield Cause.invalid(path, "", _MANY if given else "must specify one of: `configMapRef` or `secretRef`")


def _probes(path: str, container: Object) -> Iterator[Cause]:
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if not probe:
            continue
        where = f"{path}.{name}"
        given = [each for each in _HANDLERS if probe.get(each) is not None]
        if not given:
            yield Cause(where, f"{_REQUIRED}: must specify a handler type")
        for each in given[1:]:
            yield Cause(f"{where}.{each}", "Forbidden: may not specify more than 1 handler type")
        for each in given[:1]:
            yield from _handler(f"{where}.{each}", each, probe[each])
        yield from _not_negative(where, probe, *_COUNTS)


def _handler(path: str, kind: str, handler: Object) -> Iterator[Cause]:
    if kind == "exec":
        if not handler.get("command"):
            yield Cause(f"{path}.command", _REQUIRED)
        return
    port: Any = handler.get("port") or 0
    yield from (port_name_faults if isinstance(port, str) else port_number_faults)(f"{path}.port", port)
    if kind == "httpGet" and handler["scheme"] not in ("HTTP", "HTTPS"):
        yield Cause.unsupported(f"{path}.scheme", handler["scheme"], "HTTP", "HTTPS")
    for header in handler.get("httpHeaders") or []:
        name = header.get("name") or ""
        yield from (Cause.invalid(f"{path}.httpHeaders", name, fault) for fault in names.header(name))


def _resources(path: str, resources: Object) -> Iterator[Cause]:
    limits = resources.get("limits") or {}
    for resource, wanted in (resources.get("requests") or {}).items():
        limit = limits.get(resource)
        if limit is not None and quantity(wanted) > quantity(limit):
            text = f"must be less than or equal to {resource} limit of {limit}"
            yield Cause.invalid(f"{path}.requests", str(wanted), text)


def _not_negative(path: str, item: Object, *fields: str) -> Iterator[Cause]:
    for field in fields:
        if (item.get(field) or 0) < 0:
            yield Cause.invalid(f"{path}.{field}", item[field], _NEGATIVE)
