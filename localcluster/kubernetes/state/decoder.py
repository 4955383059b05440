"""Fields of a wrong type in the built-in kinds, in the words of the API server's decoder (Go's), which stops at one.

Custom resources are checked against their OpenAPI schema instead: `validation` has those words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcluster.kubernetes.state.kinds import Kind, Object
from localcluster.kubernetes.state.quantities import quantity
from localcluster.kubernetes.state.schema import METADATA, Schema, schema_of

_BYTES = {("Secret", "data"), ("ConfigMap", "binaryData")}
_LONG = {
    "generation", "deletionGracePeriodSeconds", "terminationGracePeriodSeconds", "activeDeadlineSeconds",
}  # fmt: skip
_STRUCTS = {
    "metadata": "ObjectMeta", "template": "PodTemplateSpec", "containers": "Container", "initContainers": "Container",
    "env": "EnvVar", "volumeMounts": "VolumeMount", "volumes": "Volume", "selector": "LabelSelector",
    "readinessProbe": "Probe", "livenessProbe": "Probe", "startupProbe": "Probe", "emptyDir": "EmptyDirVolumeSource",
    "secret": "SecretVolumeSource",  # pragma: allowlist secret
    "persistentVolumeClaim": "PersistentVolumeClaimVolumeSource", "configMap": "ConfigMapVolumeSource",
    "items": "KeyToPath", "resources": "VolumeResourceRequirements", "strategy": "DeploymentStrategy",
    "rollingUpdate": "RollingUpdateDeployment", "envFrom": "EnvFromSource", "configMapRef": "ConfigMapEnvSource",
    "secretRef": "SecretEnvSource",  # pragma: allowlist secret
    "valueFrom": "EnvVarSource", "fieldRef": "ObjectFieldSelector",
    "resourceFieldRef": "ResourceFieldSelector", "configMapKeyRef": "ConfigMapKeySelector",
    "secretKeyRef": "SecretKeySelector",  # pragma: allowlist secret
    "httpGet": "HTTPGetAction", "httpHeaders": "HTTPHeader",
    "tcpSocket": "TCPSocketAction", "exec": "ExecAction", "grpc": "GRPCAction", "ownerReferences": "OwnerReference",
    "involvedObject": "ObjectReference", "matchExpressions": "LabelSelectorRequirement", "source": "EventSource",
}  # fmt: skip
_TIME = (
    (r"\d{4}", "2006"), ("-", "-"), (r"\d\d", "01"), ("-", "-"), (r"\d\d", "02"), ("T", "T"), (r"\d\d", "15"),
    (":", ":"), (r"\d\d", "04"), (":", ":"), (r"\d\d(\.\d+)?", "05"), (r"Z|[-+]\d\d:\d\d", "Z07:00"),
)  # fmt: skip
"""The parts of a time, and what Go's layout calls them."""
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


@dataclass(frozen=True)
class Fault:
    """A field of a wrong type: what the decoder says of it, and what the merging of a strategic patch does."""

    decoding: str
    merging: str


def first_fault(kind: Kind, item: Object) -> Fault | None:
    """The first field of a wrong type, in the order of the text; of a custom resource only its metadata counts."""
    if kind.custom:
        return next(_faults(item.get("metadata"), METADATA, "ObjectMeta", (), "ObjectMeta"), None)
    return next(_faults(item, schema_of(kind.name), kind.name, (), kind.name), None)


def without_nulls(kind: Kind, item: Object) -> Object:
    """The object of a built-in kind as its decoder leaves it: null is nothing, or an empty text in a map."""
    result: Object = item if kind.custom else _filled(item, schema_of(kind.name))
    return result


def base64_fault(text: str) -> str:
    """What Go says about a text that is not base64; "" if it is."""
    position, digits = 0, 0
    while position < len(text):
        character = text[position]
        if character == "=":
            return _padding_fault(text, position, digits)
        if character not in "\r\n":
            if character not in _ALPHABET:
                return _illegal(position)
            digits = (digits + 1) % 4
        position += 1
    return _illegal(len(text) - digits) if digits else ""


def _padding_fault(text: str, position: int, digits: int) -> str:
    if digits < 2:
        return _illegal(position)
    if digits == 2:
        position += 1
        if position == len(text):
            return _illegal(position)
        if text[position] != "=":
            return _illegal(position)
    rest = position + 1
    while rest < len(text) and text[rest] in "\r\n":
        rest += 1
    return _illegal(rest) if rest < len(text) else ""


def _illegal(position: int) -> str:
    return f"illegal base64 data at input byte {position}"


def _filled(value: Any, schema: Schema) -> Any:
    if isinstance(schema, dict) and isinstance(value, dict):
        fields = {name.removesuffix("!"): inner for name, inner in schema.items()}
        present = {name: each for name, each in value.items() if each is not None}
        return {name: _filled(each, fields.get(name, "any")) for name, each in present.items()}
    if isinstance(schema, list) and isinstance(value, list):
        return [_filled(_empty(schema[0]) if each is None else each, schema[0]) for each in value]
    if schema in ("map", "amounts") and isinstance(value, dict):
        nothing = "" if schema == "map" else "0"
        return {name: nothing if each is None else each for name, each in value.items()}
    return value


def _empty(schema: Schema) -> Any:
    """What null in a list is to the decoder."""
    return {} if isinstance(schema, dict) else ""


def _faults(value: Any, schema: Schema, struct: str, path: tuple[str, ...], kind: str) -> Iterator[Fault]:
    if value is None or schema == "any":
        return
    if isinstance(schema, list) and isinstance(value, list):
        for each in value:
            yield from _faults(each, schema[0], struct, path, kind)
    elif isinstance(schema, dict) and isinstance(value, dict):
        fields = {name.removesuffix("!"): inner for name, inner in schema.items()}
        inside = _struct(path, kind) if path else kind
        for name, inner in value.items():
            yield from _faults(inner, fields.get(name, "any"), inside, (*path, name), kind)
    elif schema in ("map", "amounts") and isinstance(value, dict):
        yield from _map_faults(value, schema, struct, path, kind)
    elif schema == "amount":
        yield from _amount_faults(value)
    elif schema == "time" and isinstance(value, str):
        if words := _time_fault(value):
            yield Fault(words, words)
    elif not isinstance(schema, str) or schema in ("map", "amounts") or not _fits(value, schema, path):
        yield _fault(value, struct, path, _type(path, schema, kind))


def _map_faults(value: Object, schema: Schema, struct: str, path: tuple[str, ...], kind: str) -> Iterator[Fault]:
    for each in value.values():
        if schema == "amounts":
            yield from _amount_faults(each) if each is not None else ()
        elif (kind, *path) in _BYTES:
            yield from _byte_faults(each, struct, path)
        else:
            yield from _faults(each, "string", struct, path, kind)


def _amount_faults(value: Any) -> Iterator[Fault]:
    try:
        quantity(value)
    except ValueError as error:
        yield Fault(str(error), str(error))


def _byte_faults(value: Any, struct: str, path: tuple[str, ...]) -> Iterator[Fault]:
    if isinstance(value, str):
        if words := base64_fault(value):
            yield Fault(words, words)
    elif value is not None:
        yield _fault(value, struct, path, "[]uint8")


def _time_fault(value: str) -> str:
    """What Go says about a text that is no time, naming the first part of it that is none; "" if it is one."""
    rest, start = value, f'parsing time "{value}"'
    for pattern, part in _TIME:
        found = re.match(pattern, rest, re.ASCII)
        if not found:
            return f'{start} as "{"".join(each for _, each in _TIME)}": cannot parse "{rest}" as "{part}"'
        rest = rest[found.end() :]
    if rest:
        return f'{start}: extra text: "{rest}"'
    try:
        datetime.fromisoformat(value)
    except ValueError as error:
        return f"{start}: {str(error).partition(' ')[0]} out of range"
    return ""


def _fits(value: Any, schema: str, path: tuple[str, ...]) -> bool:
    if schema == "time":
        return False
    if schema == "either" and isinstance(value, str):
        return True
    if schema in ("integer", "either"):
        bits = 63 if path[-1] in _LONG else 31
        return isinstance(value, int) and not isinstance(value, bool) and -(1 << bits) <= value < 1 << bits
    return isinstance(value, {"string": str, "boolean": bool, "number": int | float}[schema])


def _fault(value: Any, struct: str, path: tuple[str, ...], wanted: str) -> Fault:
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array"}
    found = names.get(type(value), "object")
    if found == "number" and wanted.startswith("int"):
        found = f"number {value}"
    where = f"struct field {struct}.{'.'.join(path)}" if path else "value"
    return Fault(f"json: cannot unmarshal {found} into Go {where} of type {wanted}", _merging(value, wanted))


def _merging(value: Any, wanted: str) -> str:
    found = {bool: "bool", int: "int64", float: "float64", list: "slice", dict: "map"}.get(type(value), "string")
    for start, what in (("v1.", "struct from:"), ("map[", "map from"), ("[]", "slice from")):
        if wanted.startswith(start):
            return f"cannot restore {what} {found}"
    shown = {"slice": "[]interface {}", "map": "map[string]interface {}"}.get(found, found)
    return f"cannot convert {shown} to {wanted}"


def _struct(path: tuple[str, ...], kind: str) -> str:
    """The Go type of the object at a path."""
    if path[-1] == "spec":
        return "PodSpec" if kind == "Pod" or path[-2:-1] == ("template",) else f"{kind}Spec"
    if path[-1] == "ports":
        return "ContainerPort" if "containers" in path or "initContainers" in path else "ServicePort"
    return _STRUCTS.get(path[-1], path[-1][:1].upper() + path[-1][1:])


def _type(path: tuple[str, ...], schema: Schema, kind: str) -> str:
    """The Go type of a field."""
    if isinstance(schema, list):
        return f"[]{_type(path, schema[0], kind)}"
    if isinstance(schema, dict):
        return f"v1.{_struct(path, kind) if path else kind}"
    if schema == "amounts":
        return "v1.ResourceList"
    if schema == "map":
        return "map[string][]uint8" if (kind, *path) in _BYTES else "map[string]string"
    integer = "int64" if path[-1] in _LONG else "int32"
    return {"integer": integer, "either": integer, "time": "string", "boolean": "bool"}.get(schema, schema)
