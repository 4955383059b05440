"""What the API server checks before anything is stored: unknown fields, types, required fields, names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from localcluster.kubernetes.errors import BadRequest, Cause, Invalid
from localcluster.kubernetes.state.kinds import Kind, Object
from localcluster.kubernetes.state.schema import Schema, schema_of

_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_TYPES: dict[str, type | tuple[type, ...]] = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}


def unknown_fields(kind: Kind, item: Object) -> list[str]:
    """Paths of the fields that the kind does not have, e.g. `spec.bogus`."""
    return list(_unknown(item, schema_of(kind.name), ""))


def prune(kind: Kind, item: Object) -> None:
    """Drop the unknown fields in place, as the real server does unless told to be strict."""
    _prune(item, schema_of(kind.name))


def refuse_unknown(kind: Kind, unknown: list[str]) -> None:
    """Raise BadRequest with the decoder's words if there are any unknown fields."""
    if unknown:
        words = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise BadRequest(
            f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: '
            f"strict decoding error: {words}"
        )


def check(kind: Kind, item: Object) -> None:
    """Check types, required fields, the name and the labels; raises Invalid with all causes."""
    causes = list(_mistyped(item, schema_of(kind.name), ""))
    if not causes:
        causes = list(_bad_metadata(item["metadata"]))
    if causes:
        raise Invalid(kind.name, kind.group, _name(item), causes)


def _name(item: Object) -> str:
    metadata = item.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


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
    if value is None or schema == "any":
        return
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            yield _type_cause(path, "object", value)
            return
        for name in (name[:-1] for name in schema if name.endswith("!")):
            if value.get(name) is None:
                yield Cause(f"{path}.{name}".lstrip("."), "Required value")
        for name, inner in _fields(schema).items():
            yield from _mistyped(value.get(name), inner, f"{path}.{name}".lstrip("."))
    elif isinstance(schema, list):
        if not isinstance(value, list):
            yield _type_cause(path, "array", value)
            return
        for index, item in enumerate(value):
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
    found = names.get(type(value), "null")
    return Cause.invalid(path, found, f'{path} in body must be of type {wanted}: "{found}"')


def _bad_metadata(metadata: Object) -> Iterator[Cause]:
    name = metadata.get("name") or ""
    if not name:
        yield Cause("metadata.name", "Required value: name or generateName is required")
    elif len(name) > 253 or not _SUBDOMAIN.match(name):
        yield Cause.invalid(
            "metadata.name",
            name,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character",
        )
    for value in (metadata.get("labels") or {}).values():
        if len(value) > 63 or not _LABEL_VALUE.match(value):
            yield Cause.invalid(
                "metadata.labels",
                value,
                "a valid label must be an empty string or consist of at most 63 alphanumeric characters, '-', '_' or "
                "'.', and must start and end with an alphanumeric character",
            )
