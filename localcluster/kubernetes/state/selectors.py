"""Label and field selectors, as kubectl writes them (`-l`, `--field-selector`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from localcluster.kubernetes.errors import BadRequest
from localcluster.kubernetes.state.kinds import Object

Predicate = Callable[[Object], bool]

_SET = re.compile(r"^(?P<key>[\w./-]+)\s+(?P<operator>in|notin)\s+\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[\w./-]+)\s*(?P<operator>==|=|!=)\s*(?P<value>.*)$")
_EXISTS = re.compile(r"^(?P<not>!?)(?P<key>[\w./-]+)$")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")


def selector(labels: str = "", fields: str = "") -> Predicate:
    """The predicate that both selectors together describe; raises BadRequest where one cannot be parsed."""
    tests = [_label_test(part.strip()) for part in _COMMA_OUTSIDE_PARENTHESES.split(labels) if part.strip()]
    tests += [_field_test(part.strip()) for part in fields.split(",") if part.strip()]
    return lambda item: all(test(item) for test in tests)


def labels_match(item: Object, wanted: dict[str, str]) -> bool:
    """Whether `item` carries all `wanted` labels."""
    labels = item["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())


def _label_test(text: str) -> Predicate:
    if match := _SET.match(text):
        key, wanted = match["key"], {value.strip() for value in match["values"].split(",")}
        inside = match["operator"] == "in"
        return lambda item: (_label(item, key) in wanted) is inside
    if match := _EQUAL.match(text):
        key, value, equal = match["key"], match["value"].strip(), match["operator"] != "!="
        return lambda item: (_label(item, key) == value) is equal
    if match := _EXISTS.match(text):
        key, present = match["key"], not match["not"]
        return lambda item: (_label(item, key) is not None) is present
    raise BadRequest(f"unable to parse requirement: {text!r} is not a label selector")


def _label(item: Object, key: str) -> str | None:
    labels: dict[str, str] = item["metadata"].get("labels") or {}
    return labels.get(key)


def _field_test(text: str) -> Predicate:
    match = _EQUAL.match(text)
    if not match:
        raise BadRequest(f"invalid selector: {text!r}; can't understand {text!r}")
    path, value, equal = match["key"].split("."), match["value"].strip(), match["operator"] != "!="
    return lambda item: (_field(item, path) == value) is equal


def _field(item: Object, path: list[str]) -> str:
    found: Any = item
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return "" if found is None else str(found)
