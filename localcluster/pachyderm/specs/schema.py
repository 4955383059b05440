"""The JSON form of a message: which keys and values a document may have, checked as pachd checks them.

betterproto passes over unknown fields and lets wrong types through, so the document is checked against the message
classes before it becomes one.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import betterproto

from localcluster.pachyderm.errors import BadSpec

_DURATION = re.compile(r"-?\d{1,12}(\.\d{1,9})?s")
_INTEGER = re.compile(r"-?\d{1,20}")
_INTEGERS = {
    "int32": range(-(2**31), 2**31),
    "int64": range(-(2**63), 2**63),
    "uint32": range(2**32),
    "uint64": range(2**64),
}
_FLOATS = {"float", "double"}
_LONGEST = 315_576_000_000
"""Seconds of a Duration at most, either way (google/protobuf/duration.proto)."""
_DEEPEST = 100
"""Objects within each other; a specification needs five, and what reads it recurses."""


def canonical(kind: type[betterproto.Message], document: object, path: str = "") -> dict[str, Any]:
    """The document with the names of protobuf's JSON ("datumTries"), without its nulls.

    Raises BadSpec naming the path of what `kind` has no field for or what has the wrong type.
    """
    if path.count(".") >= _DEEPEST:
        raise BadSpec(f"exceeded max recursion depth: more than {_DEEPEST} objects within each other")
    if not isinstance(document, dict):
        raise BadSpec(f"syntax error: unexpected token {document!r} for {path or 'the document'}, which is an object")
    message = kind()._betterproto
    fields = {spelling: name for name in message.meta_by_field_name for spelling in (name, json_name(name))}
    found: dict[str, Any] = {}
    for key, value in document.items():
        where = f"{path}.{key}" if path else key
        if key not in fields:
            raise BadSpec(f'unknown field "{key}" (at {where})')
        name = fields[key]
        if json_name(name) in found:
            raise BadSpec(f'duplicate field "{key}" (at {where})')
        if value is not None:
            repeated = message.default_gen[name] is list
            found[json_name(name)] = _field(message, name, value, where, repeated=repeated)
    return found


def json_name(field: str) -> str:
    """protobuf's JSON name of a field: `datum_tries` is "datumTries"; the one named URL is `url` in the SDK only."""
    if field == "url":
        return "URL"
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), field.rstrip("_"))


def _field(message: Any, name: str, value: object, path: str, *, repeated: bool) -> Any:
    meta = message.meta_by_field_name[name]
    if repeated:
        if not isinstance(value, list):
            raise BadSpec(f"syntax error: unexpected token {value!r} for {path}, which is a list")
        return [_single(message, name, item, f"{path}[{at}]") for at, item in enumerate(value)]
    if meta.proto_type == betterproto.TYPE_MAP:
        if not isinstance(value, dict):
            raise BadSpec(f"syntax error: unexpected token {value!r} for {path}, which is an object")
        return {key: _scalar(meta.map_types[1], item, f"{path}.{key}") for key, item in value.items()}
    return _single(message, name, value, path)


def _single(message: Any, name: str, value: object, path: str) -> Any:
    meta = message.meta_by_field_name[name]
    if meta.wraps:
        return _scalar(meta.wraps, value, path)
    if meta.proto_type != betterproto.TYPE_MESSAGE:
        return _scalar(meta.proto_type, value, path)
    kind = message.cls_by_field[name]
    if kind is timedelta:
        _check_duration(value, path)
    return value if kind in (timedelta, datetime) else canonical(kind, value, path)


def _check_duration(value: object, path: str) -> None:
    if not (isinstance(value, str) and _DURATION.fullmatch(value)):
        raise BadSpec(f'invalid google.protobuf.Duration value {value!r} for {path}: write seconds, as in "90s"')
    if abs(float(value.rstrip("s"))) > _LONGEST:
        raise BadSpec(f"google.protobuf.Duration value out of range for {path}: {value}")


def _scalar(kind: str, value: object, path: str) -> Any:
    if kind in _INTEGERS:
        number = _INTEGER.fullmatch(str(value)) if isinstance(value, int | str) else None
        accepted = number is not None and int(number[0]) in _INTEGERS[kind]
    elif kind in _FLOATS:
        accepted = isinstance(value, int | float)
    elif kind == betterproto.TYPE_ENUM:
        accepted = isinstance(value, int | str)
    else:
        accepted = isinstance(value, bool if kind == betterproto.TYPE_BOOL else str)
    if not accepted or (isinstance(value, bool) and kind != betterproto.TYPE_BOOL):
        raise BadSpec(f"invalid value for {kind} field {path}: {value!r}")
    return value
