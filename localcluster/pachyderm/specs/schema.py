"""The JSON form of a message: which keys and values a document may have, checked as pachd checks them.

betterproto passes over unknown fields and lets wrong types through, so the document is checked against the message
classes before it becomes one.  What is wrong is told with its place in the text, as pachd tells it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
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
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},:]|[^][{},:"\s]+')
_UNEXPECTED = "syntax error ({place}): unexpected token {raw}"
_LINE = "\n"
SHOWN = 1000
"""Characters of a specification that an error repeats: an answer's status has room for a few thousand."""
_DEEPEST = 100
"""Objects within each other; a specification needs five, and what reads it recurses."""


_Place = tuple[str, re.Match[str], re.Match[str]]


class Misfit(BadSpec):
    """The value at `path`, or with `by_key` its key, does not fit; `words` have {place} and {raw}, the text there."""

    def __init__(self, path: str, words: str, value: object = None, *, by_key: bool = False) -> None:
        self.path, self.words, self.by_key = path, words, by_key
        super().__init__(words.format(raw=json.dumps(value), place=f"at {path or 'the top'}"))


def located(fault: Misfit, text: str) -> BadSpec:
    """The same fault with its line and column in the text that the document was read from, as upstream words it."""
    try:
        at = next(key if fault.by_key else value for path, key, value in _places(text) if path == fault.path)
    except (StopIteration, RecursionError):
        return fault
    return _unparsed(text, fault.words.format(raw=at[0], place=_place(text, at.start())))


def syntax(text: str, error: json.JSONDecodeError) -> BadSpec:
    """What is wrong with a text that is no JSON, as upstream words it."""
    token = _TOKEN.search(text, error.pos)
    if text and token is None:
        return _unparsed(text, "unexpected EOF")
    what = "invalid value" if token and token[0][0].isalpha() else "unexpected token"
    return _unparsed(text, f"syntax error ({_place(text, error.pos)}): {what} {token[0] if token else ''}")


def _place(text: str, at: int) -> str:
    return f"line {text.count(_LINE, 0, at) + 1}:{at - text.rfind(_LINE, 0, at)}"


def _unparsed(text: str, words: str) -> BadSpec:
    return BadSpec(f"could not parse {text[:SHOWN]} as Create Pipeline Request message: proto: {words}")


def _places(text: str) -> Iterator[_Place]:
    """Path, key and first token of each value of a JSON text; an element of a list has its own value as key."""
    tokens = _TOKEN.finditer(text)

    def value(path: str, token: re.Match[str], key: re.Match[str]) -> Iterator[_Place]:
        yield path, key, token
        if token[0] not in "{[":
            return
        count = 0
        for inner in tokens:
            if inner[0] in "}]":
                return
            if inner[0] == ",":
                continue
            if token[0] == "[":
                yield from value(f"{path}[{count}]", inner, inner)
                count += 1
            else:
                next(tokens)
                name = json.loads(inner[0])
                yield from value(f"{path}.{name}" if path else name, next(tokens), inner)

    first = next(tokens)
    yield from value("", first, first)


def canonical(kind: type[betterproto.Message], document: object, path: str = "") -> dict[str, Any]:
    """The document with the names of protobuf's JSON ("datumTries"), without its nulls.

    Raises BadSpec naming the path of what `kind` has no field for or what has the wrong type.
    """
    if path.count(".") >= _DEEPEST:
        raise BadSpec(f"exceeded max recursion depth: more than {_DEEPEST} objects within each other")
    if not isinstance(document, dict):
        raise Misfit(path, _UNEXPECTED, document)
    message = kind()._betterproto
    fields = {spelling: name for name in message.meta_by_field_name for spelling in (name, json_name(name))}
    found: dict[str, Any] = {}
    for key, value in document.items():
        where = f"{path}.{key}" if path else key
        if key not in fields:
            raise Misfit(where, "({place}): unknown field {raw}", key, by_key=True)
        name = fields[key]
        if json_name(name) in found:
            raise Misfit(where, "({place}): duplicate field {raw}", key, by_key=True)
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
            raise Misfit(path, _UNEXPECTED, value)
        return [_single(message, name, item, f"{path}[{at}]") for at, item in enumerate(value)]
    if meta.proto_type == betterproto.TYPE_MAP:
        if not isinstance(value, dict):
            raise Misfit(path, _UNEXPECTED, value)
        return {key: _scalar(meta.map_types[1], item, f"{path}.{key}") for key, item in value.items()}
    return _single(message, name, value, path)


def _single(message: Any, name: str, value: object, path: str) -> Any:
    meta = message.meta_by_field_name[name]
    if meta.wraps:
        return _scalar(meta.wraps, value, path)
    kind = message.cls_by_field.get(name)
    if meta.proto_type == betterproto.TYPE_ENUM and value not in (*kind.__members__, *kind):
        raise Misfit(path, "({place}): invalid value for enum type: {raw}", value)
    if meta.proto_type != betterproto.TYPE_MESSAGE:
        return _scalar(meta.proto_type, value, path)
    if kind is timedelta:
        _check_duration(value, path)
    return value if kind in (timedelta, datetime) else canonical(kind, value, path)


def _check_duration(value: object, path: str) -> None:
    if not isinstance(value, str):
        raise Misfit(path, _UNEXPECTED, value)
    if not _DURATION.fullmatch(value):
        raise Misfit(path, "({place}): invalid google.protobuf.Duration value {raw}", value)
    if abs(float(value.rstrip("s"))) > _LONGEST:
        raise Misfit(path, "({place}): google.protobuf.Duration value out of range: {raw}", value)


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
        raise Misfit(path, f"({{place}}): invalid value for {kind} type: {{raw}}", value)
    return value
