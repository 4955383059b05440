"""Unknown fields, and the types and required fields of custom resources, in the words of the API server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from localcluster.kubernetes.errors import Cause, Invalid
from localcluster.kubernetes.state.kinds import Kind, Object
from localcluster.kubernetes.state.schema import Schema, field, resolve, schema_of, type_of

_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", type(None): "null"}
_NUMBER = r"(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
_AMOUNT = rf"^(\+|-)?{_NUMBER}(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?{_NUMBER}))?$"
"""What CRDs say an amount must look like."""


def unknown_fields(kind: Kind, item: Object) -> list[str]:
    """Paths of the fields that the kind does not have, e.g. `spec.bogus`."""
    return [path for _, _, path in _unknown(item, schema_of(kind), "")]


def prune(kind: Kind, item: Object) -> None:
    """Drop the unknown fields in place, as the real server does unless told to be strict."""
    for holder, name, _ in list(_unknown(item, schema_of(kind), "")):
        del holder[name]


def check(kind: Kind, item: Object) -> None:
    """Check a custom resource's types and required fields; raises Invalid with all causes."""
    causes = list(_mistyped(item | {"metadata": None}, schema_of(kind), ""))
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


def _unknown(value: Any, schema: Schema, path: str) -> Iterator[tuple[Object, str, str]]:
    """Each unknown field: the object that has it, its name and its path."""
    kind = type_of(schema)
    if kind in ("object", "map") and isinstance(value, dict):
        for name, inner in value.items():
            known = field(schema, name)
            if known is None:
                yield value, name, f"{path}{name}"
            else:
                yield from _unknown(inner, known, f"{path}{name}.")
    elif kind == "array" and isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unknown(inner, resolve(schema)["items"], f"{path.rstrip('.')}[{index}].")


def _mistyped(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    kind, found = type_of(schema), resolve(schema)
    wanted = "integer,string" if kind in ("either", "quantity") else found.get("type", "")
    given = _NAMES.get(type(value), "object")
    if wanted and given not in (*wanted.split(","), "integer" if wanted == "number" else ""):
        yield Cause.invalid(path, given, f'{path} in body must be of type {wanted}: "{given}"')
    elif kind == "quantity" and not re.fullmatch(_AMOUNT, str(value)):
        yield Cause.invalid(path, value, f"{path} in body should match '{_AMOUNT}'")
    elif kind == "array":
        for index, each in enumerate(value):
            yield from _mistyped(each, found["items"], f"{path}[{index}]")
    elif kind in ("object", "map"):
        for name, each in value.items():
            if each is not None:
                yield from _mistyped(each, field(schema, name) or {}, f"{path}.{name}".lstrip("."))
        missing = (name for name in found.get("required", []) if value.get(name) is None)
        yield from (Cause(f"{path}.{name}".lstrip("."), "Required value") for name in missing)
