"""Unknown fields, and the types and required fields of custom resources, in the words of the API server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localcluster.kubernetes.errors import Cause, Invalid
from localcluster.kubernetes.state.kinds import Kind, Object
from localcluster.kubernetes.state.schema import Schema, schema_of

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str, "time": str, "boolean": bool, "integer": int, "number": (int, float), "either": (int, str),
    "amount": (int, str),
}  # fmt: skip


def unknown_fields(kind: Kind, item: Object) -> list[str]:
    """Paths of the fields that the kind does not have, e.g. `spec.bogus`."""
    return list(_unknown(item, schema_of(kind.name), ""))


def prune(kind: Kind, item: Object) -> None:
    """Drop the unknown fields in place, as the real server does unless told to be strict."""
    _prune(item, schema_of(kind.name))


def check(kind: Kind, item: Object) -> None:
    """Check a custom resource's types and required fields; raises Invalid with all causes."""
    causes = list(_mistyped(item, schema_of(kind.name), ""))
    if causes and kind.scale:
        causes += _unscalable(item.get("spec"))
    if causes:
        raise Invalid(kind.name, kind.group, item["metadata"].get("name") or "", causes)


def _unscalable(spec: Any) -> Iterator[Cause]:
    """What the scale subresource says where spec.replicas cannot be read."""
    found, wanted = (spec.get("replicas"), "int64") if isinstance(spec, dict) else (spec, "map[string]interface{}")
    names = {str: "string", bool: "bool", float: "float64", int: "int64", list: "[]interface {}"}
    if found is not None and names.get(type(found)) != wanted:
        shown = str(found).lower() if isinstance(found, bool) else str(found)
        text = (
            f".spec.replicas accessor error: {shown} is of the type {names.get(type(found), 'map')}, expected {wanted}"
        )
        yield Cause.invalid(".spec.replicas", 0, text)


def _fields(schema: dict[str, Any]) -> dict[str, Schema]:
    return {name.removesuffix("!"): value for name, value in schema.items()}


def _unknown(value: Any, schema: Schema, path: str) -> Iterator[str]:
    if isinstance(schema, dict) and isinstance(value, dict):
        known = _fields(schema)
        for name, inner in value.items():
            if name in known:
                yield from _unknown(inner, known[name], f"{path}{name}.")
            else:
                yield f"{path}{name}"
    elif isinstance(schema, list) and isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unknown(inner, schema[0], f"{path.rstrip('.')}[{index}].")


def _prune(value: Any, schema: Schema) -> None:
    if isinstance(schema, dict) and isinstance(value, dict):
        known = _fields(schema)
        for name in [name for name in value if name not in known]:
            del value[name]
        for name, inner in value.items():
            _prune(inner, known[name])
    elif isinstance(schema, list) and isinstance(value, list):
        for inner in value:
            _prune(inner, schema[0])


def _mistyped(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    if value is None or schema in ("any", "amounts"):
        return
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            yield _type_cause(path, "object", value)
            return
        for name, inner in _fields(schema).items():
            yield from _mistyped(value.get(name), inner, f"{path}.{name}".lstrip("."))
        for name in (name[:-1] for name in schema if name.endswith("!")):
            if value.get(name) is None:
                yield Cause(f"{path}.{name}".lstrip("."), "Required value")
    elif isinstance(schema, list):
        if not isinstance(value, list):
            yield _type_cause(path, "array", value)
            return
        for index, item in enumerate(value):
            if item is None:
                yield _type_cause(f"{path}[{index}]", "object" if isinstance(schema[0], dict) else schema[0], item)
            yield from _mistyped(item, schema[0], f"{path}[{index}]")
    elif schema == "map":
        if not isinstance(value, dict):
            yield _type_cause(path, "object", value)
            return
        for name, item in value.items():
            yield from _mistyped(item, "string", f"{path}.{name}")
    elif not isinstance(value, _TYPES[schema]) or (isinstance(value, bool) and schema != "boolean"):
        yield _type_cause(path, schema, value)


def _type_cause(path: str, wanted: str, value: Any) -> Cause:
    names = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
    shown = {"either": "integer,string", "amount": "integer,string", "time": "string"}
    found, wanted = names.get(type(value), "null"), shown.get(wanted, wanted)
    return Cause.invalid(path, found, f'{path} in body must be of type {wanted}: "{found}"')
