"""What a request carries: JSON, YAML or protobuf in, a value out, and the API server's words for what cannot be read.

The server's words are those of Go's decoder: clients and search engines know them.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from localcluster.kubernetes.api import protobuf
from localcluster.kubernetes.errors import BadRequest, TooLarge, UnsupportedMediaType

LIMIT = 3 * 1024 * 1024
"""What the API server reads of a body at most."""

_YAML = "application/yaml"
_JSON = "application/json"
_SUMMARY = 30
_DEPTH = 200
"""Of objects and lists in YAML: no object of Kubernetes has a tenth of it."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where it is there: its words are those of Go's YAML, which is made from it."""
_SCHEMA = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'


class Unreadable(ValueError):
    """A text that is not JSON; the words are Go's."""


class _Repeating(dict[str, Any]):
    """An object whose text names some fields twice."""

    again: tuple[str, ...] = ()


def read(body: bytes, content_type: str, kind: str, *, custom: bool) -> tuple[Any, list[str]]:
    """The object in a body that should hold a `kind`, and the paths of fields that it gives twice.

    Raises BadRequest, UnsupportedMediaType.
    """
    if content_type == protobuf.MEDIA_TYPE and not custom:
        return protobuf.decode(body, kind), []
    if content_type not in ("", _JSON, _YAML):
        raise UnsupportedMediaType.of((_JSON, _YAML, protobuf.MEDIA_TYPE))
    try:
        value = parse_yaml(body, kind) if content_type == _YAML else parse(body)
        if not isinstance(value, dict | None):
            raise Unreadable(no_object(value))
    except Unreadable as error:
        words = f"couldn't get version/kind; json parse error: {error}"
        raise BadRequest(
            f"the object provided is unrecognized (must be of type {kind}): {words} ({summary(body)})"
        ) from error
    return value or {}, list(repeated(value))


def checked_size(body: bytes) -> bytes:
    """The body; raises TooLarge."""
    if len(body) > LIMIT:
        raise TooLarge(f"Request entity too large: limit is {LIMIT}")
    return body


def parse(text: bytes) -> Any:
    """JSON; raises Unreadable."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise Unreadable(_words(error)) from error
    except UnicodeDecodeError as error:
        raise Unreadable("invalid character 'ï' looking for beginning of value") from error
    except RecursionError as error:
        innermost = "[" if text.rfind(b"[") > text.rfind(b"{") else "{"
        raise Unreadable(f"invalid character '{innermost}' exceeded max depth") from error


def parse_yaml(text: bytes, kind: str) -> Any:
    """YAML that could be JSON; raises BadRequest."""
    try:
        _check_depth(text)
        return json.loads(json.dumps(yaml.load(text, _LOADER), default=str))  # noqa: S506 - it is a safe one
    except yaml.MarkedYAMLError as error:
        mark = error.context_mark if error.context_mark and error.context_mark.line else error.problem_mark
        line = (mark.line if mark else 0) + isinstance(error, yaml.scanner.ScannerError)
        where = f"line {line}: " if line else ""
        words = f"yaml: {where}{error.problem} ({summary(text)})"
        raise BadRequest(f"the object provided is unrecognized (must be of type {kind}): {words}") from error
    except yaml.YAMLError as error:
        raise BadRequest(f"the object provided is unrecognized (must be of type {kind}): yaml: {error}") from error


def _check_depth(text: bytes) -> None:
    """Refuse what libyaml's reader would overflow its stack with, which ends the process.  Raises YAMLError."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            raise yaml.YAMLError(f"exceeded max depth of {_DEPTH}")


def no_object(value: Any) -> str:
    """What is said of a value where an object should be."""
    return f"json: cannot unmarshal {kind_of(value)} into Go value of type {_SCHEMA}"


def kind_of(value: Any) -> str:
    """What Go's decoder calls a JSON value."""
    if isinstance(value, float) and not value.is_integer():
        return f"number {value}"
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(dict if isinstance(value, dict) else type(value), "null")


def repeated(value: Any) -> tuple[str, ...]:
    """The paths of the fields that a parsed text gives twice, in the order of the text."""
    if isinstance(value, _Repeating):
        return value.again
    if isinstance(value, list):
        found = ((index, path) for index, each in enumerate(value) for path in repeated(each))
        return tuple(f"[{index}].{path}" for index, path in found)
    return ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    again: list[str] = []
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            again.append(name)
        result[name] = value
        again += (f"{name}{path}" if path.startswith("[") else f"{name}.{path}" for path in repeated(value))
    if not again:
        return result
    repeating = _Repeating(result)
    repeating.again = tuple(again)
    return repeating


def _constant(name: str) -> Any:
    raise Unreadable(f"invalid character '{name[0]}' looking for beginning of value")


def _words(error: json.JSONDecodeError) -> str:
    at = error.pos
    if error.msg.startswith("Unterminated string") or not error.doc[at:].strip():
        return "unexpected end of JSON input"
    if error.msg.startswith("Expecting value"):
        at += len(error.doc[at:]) - len(error.doc[at:].lstrip())
    after = "after array element" if _in_array(error.doc[:at]) else "after object key:value pair"
    if error.msg.startswith("Expecting value") and (words := _literal(error.doc[at:])):
        return words
    context = {
        "Expecting value": "looking for beginning of value",
        "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
        "Illegal trailing comma before end of object": "looking for beginning of object key string",
        "Expecting ':' delimiter": "after object key",
        "Expecting ',' delimiter": after,
        "Extra data": "after top-level value",
        "Invalid control character at": "in string literal",
    }.get(error.msg, "in string escape code")
    character = error.doc[at]
    shown = {"'": r"'\''", '"': "'\"'", "\n": r"'\n'", "\t": r"'\t'"}.get(character, f"'{character}'")
    return f"invalid character {shown} {context}"


def _literal(text: str) -> str:
    """Where a word that begins as true, false or null does ceases to be one."""
    for word in ("true", "false", "null"):
        for index in range(1, len(word)):
            if text.startswith(word[:index]) and not text.startswith(word[: index + 1]):
                if len(text) <= index:
                    return "unexpected end of JSON input"
                return f"invalid character '{text[index]}' in literal {word} (expecting '{word[index]}')"
    return ""


def _in_array(before: str) -> bool:
    depth = 0
    for character in reversed(before):
        depth += (character in "]}") - (character in "[{")
        if depth < 0:
            return character == "["
    return False


def summary(body: bytes) -> str:
    """The beginning of a body, as the server quotes it."""
    if not body:
        return "<empty>"
    readable = body.startswith(b"{")
    start = body[:_SUMMARY].decode(errors="replace") if readable else body[:_SUMMARY].hex()
    return f"{start} ..." if len(body) > _SUMMARY else start
