"""Fields of a wrong type in the built-in kinds, in the words of the API server's decoder (Go's), which stops at one.

Custom resources are checked against their OpenAPI schema instead: `validation` has those words.  Where Go has a name
for a kind of text, as v1.PullPolicy, the schemas, and so this decoder, say `string`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcluster.kubernetes.state.kinds import Kind, Object
from localcluster.kubernetes.state.quantities import quantity
from localcluster.kubernetes.state.schema import METADATA, Schema, field, go_name, resolve, schema_of, type_of

_TIME = (
    (r"\d{4}", "2006"), ("-", "-"), (r"\d\d", "01"), ("-", "-"), (r"\d\d", "02"), ("T", "T"), (r"\d\d", "15"),
    (":", ":"), (r"\d\d", "04"), (":", ":"),
)  # fmt: skip
"""The parts of a time, and what Go's layout calls them."""
_ZONE = (r"Z|[-+]\d\d:\d\d", "Z07:00")
_TIMES = {
    "time": (*_TIME, (r"\d\d(\.\d+)?", "05"), _ZONE),
    "microtime": (*_TIME, (r"\d\d", "05"), (r"\.\d{6}", ".000000"), _ZONE),
}
_TYPES = {"either": "int32", "time": "string", "microtime": "string", "boolean": "bool", "bytes": "[]uint8"}
_EMPTY: dict[str, Any] = {"object": {}, "map": {}, "integer": 0, "boolean": False, "quantity": "0"}
"""What null in a list or map is to the decoder, where it is not an empty text."""
_DIGIT = r"(?:[A-Za-z0-9+/][\r\n]*+)"
_BASE64 = re.compile(
    rf"[\r\n]*+(?:{_DIGIT}{{4}})*+"
    rf"(?:{_DIGIT}{{2}}==[\r\n]*|{_DIGIT}{{3}}=[\r\n]*|(?P<half>{_DIGIT}{{2}}=)|(?P<open>{_DIGIT}{{0,3}}))"
)
"""As far as a text is base64; `half`: it has one of two signs of padding, `open`: its last letters have none."""


@dataclass(frozen=True)
class Fault:
    """A field of a wrong type: what the decoder says of it, and what the merging of a strategic patch does."""

    decoding: str
    merging: str


def first_fault(kind: Kind, item: Object) -> Fault | None:
    """The first field of a wrong type, in the order of the text; of a custom resource only its metadata counts."""
    if kind.custom:
        return next(_faults(item.get("metadata"), METADATA, "ObjectMeta", ()), None)
    return next(_faults(item, schema_of(kind), kind.name, ()), None)


def without_nulls(kind: Kind, item: Object) -> Object:
    """The object of a built-in kind as its decoder leaves it: null is nothing, or an empty text in a map."""
    result: Object = item if kind.custom else _filled(item, schema_of(kind))
    return result


def base64_fault(text: str) -> str:
    """What Go says about a text that is not base64; "" if it is."""
    found = _BASE64.match(text)
    assert found
    position = found.end()
    if position == len(text) and not found["half"]:
        missing = len(re.sub(r"[\r\n]", "", found["open"] or ""))
        if not missing:
            return ""
        position -= missing
    return f"illegal base64 data at input byte {position}"


def _filled(value: Any, schema: Schema) -> Any:
    kind, found = type_of(schema), resolve(schema)
    if kind == "object" and isinstance(value, dict):
        present = {name: each for name, each in value.items() if each is not None}
        return {name: _filled(each, field(schema, name) or {}) for name, each in present.items()}
    if kind == "map" and isinstance(value, dict):
        nothing = _EMPTY.get(type_of(found["additionalProperties"]), "")
        return {name: nothing if each is None else each for name, each in value.items()}
    if kind == "array" and isinstance(value, list):
        nothing = _EMPTY.get(type_of(found["items"]), "")
        return [_filled(nothing if each is None else each, found["items"]) for each in value]
    return value


def _faults(value: Any, schema: Schema, struct: str, path: tuple[str, ...]) -> Iterator[Fault]:
    kind = type_of(schema)
    if value is None or kind == "any":
        return
    if kind == "array" and isinstance(value, list):
        for each in value:
            yield from _faults(each, resolve(schema)["items"], struct, path)
    elif kind == "map" and isinstance(value, dict):
        for each in value.values():
            yield from _faults(each, resolve(schema)["additionalProperties"], struct, path)
    elif kind == "object" and isinstance(value, dict):
        for name, inner in value.items():
            yield from _faults(inner, field(schema, name) or {}, _struct(schema), (*path, name))
    elif words := _text_fault(value, kind):
        yield Fault(words, words)
    elif not _fits(value, kind, schema):
        yield _fault(value, struct, path, _type(schema))


def _text_fault(value: Any, kind: str) -> str:
    """What is said of a text that is not what it should say."""
    if kind == "quantity":
        try:
            quantity(value)
        except ValueError as error:
            return str(error)
    if isinstance(value, str) and kind in _TIMES:
        return _time_fault(value, _TIMES[kind])
    return base64_fault(value) if isinstance(value, str) and kind == "bytes" else ""


def _time_fault(value: str, layout: tuple[tuple[str, str], ...]) -> str:
    """What Go says about a text that is no time, naming the first part of it that is none; "" if it is one."""
    rest, start = value, f'parsing time "{value}"'
    for pattern, part in layout:
        found = re.match(pattern, rest, re.ASCII)
        if not found:
            return f'{start} as "{"".join(each for _, each in layout)}": cannot parse "{rest}" as "{part}"'
        rest = rest[found.end() :]
    if rest:
        return f'{start}: extra text: "{rest}"'
    try:
        datetime.fromisoformat(value)
    except ValueError as error:
        return f"{start}: {str(error).partition(' ')[0]} out of range"
    return ""


def _fits(value: Any, kind: str, schema: Schema) -> bool:
    if kind in ("integer", "either") and not (kind == "either" and isinstance(value, str)):
        bits = 63 if resolve(schema).get("format") == "int64" else 31
        return isinstance(value, int) and not isinstance(value, bool) and -(1 << bits) <= value < 1 << bits
    wanted = {"boolean": bool, "number": int | float, "quantity": object, "array": list, "object": dict, "map": dict}
    return isinstance(value, wanted.get(kind, str))


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


def _struct(schema: Schema) -> str:
    return go_name(schema).rpartition(".")[2]


def _type(schema: Schema) -> str:
    """The Go type of a field."""
    kind, found = type_of(schema), resolve(schema)
    if kind == "array":
        return f"[]{_type(found['items'])}"
    if kind == "map":
        inner = found["additionalProperties"]
        return "v1.ResourceList" if type_of(inner) == "quantity" else f"map[string]{_type(inner)}"
    name = go_name(schema) if kind == "object" else found.get("format", kind)
    return _TYPES.get(kind, name)
