"""Label and field selectors as kubectl writes them (`-l`, `--field-selector`), and what is said of all others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from localcluster.kubernetes.errors import BadRequest, Cause
from localcluster.kubernetes.state import names
from localcluster.kubernetes.state.kinds import Kind, Object

Predicate = Callable[[Object], bool]
Token = tuple[str, str]
"""What sort of word it is (an operator or bracket is its own sort), and the word."""

_WORDS = re.compile(r"\s*(?P<special>[=!<>(),]+)|\s*(?P<word>[^=!<>(),\s]+)")
_OPERATORS = ("in", "notin", "=", "==", "!=", "gt", "lt")
_SPECIAL = ("==", "!=", "=", "!", "<", ">", "(", ")", ",")
_END: Token = ("end", "")
_FIELD = re.compile(r"(?P<key>[^=!]+)(?P<operator>!=|==|=)(?P<value>.*)", re.DOTALL)
_FIELDS = {
    "Pod": ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
            "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName"),
    "Event": (*(f"involvedObject.{each}" for each in (
        "kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")),
        "reason", "reportingComponent", "source", "type"),
    "Namespace": ("status.phase",), "Secret": ("type",), "Service": ("spec.clusterIP", "spec.type"),
    "ReplicaSet": ("status.replicas",),
}  # fmt: skip


def selector(labels: str = "", fields: str = "", kind: Kind | None = None) -> Predicate:
    """The predicate that both selectors together describe; raises BadRequest where one cannot be used."""
    tests = _Labels(labels).tests() + [_field_test(part, fields, kind) for part in fields.split(",") if part]
    return lambda item: all(test(item) for test in tests)


def labels_match(item: Object, wanted: dict[str, str]) -> bool:
    """Whether `item` carries all `wanted` labels."""
    labels = item["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())


class _Labels:
    """A label selector's words, read one requirement after the other."""

    def __init__(self, text: str) -> None:
        self._rest = [*_words(text), _END, _END]

    def tests(self) -> list[Predicate]:
        """One predicate a requirement."""
        found: list[Predicate] = []
        while self._next()[0] != "end":
            if self._next()[0] not in ("word", "in", "notin", "!"):
                raise BadRequest(f"found '{self._next()[1]}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except ValueError as error:
                raise BadRequest(f"unable to parse requirement: {error}") from error
            sort, word = self._take()
            if sort == "," and self._next()[0] not in ("word", "in", "notin", "!"):
                raise BadRequest(f"found '{self._next()[1]}', expected: identifier after ','")
            if sort not in (",", "end"):
                raise BadRequest(f"found '{word}', expected: ',' or 'end of string'")
        return found

    def _next(self) -> Token:
        return self._rest[0]

    def _take(self) -> Token:
        return self._rest.pop(0)

    def _word(self) -> str:
        sort, word = self._take()
        if sort not in ("word", "in", "notin"):
            raise ValueError(f"found '{word}', expected: identifier")
        return word

    def _requirement(self) -> Predicate:
        absent = self._next()[0] == "!" and bool(self._take())
        key = self._word()
        _refuse(names.qualified(key), "<nil>", key)
        if absent or self._next()[0] in ("end", ","):
            return lambda item: (_label(item, key) is None) is absent
        operator, word = self._take()
        if operator not in ("in", "notin", "=", "==", "!=", ">", "<"):
            raise ValueError(f"found '{word}', expected: {', '.join(_OPERATORS)}")
        if operator in ("in", "notin"):
            wanted = self._values()
        else:
            wanted = {"" if self._next()[0] in ("end", ",") else self._word()}
        if operator in ("<", ">"):
            return _compared(key, operator, next(iter(wanted)))
        for index, value in enumerate(sorted(wanted)):
            _refuse(names.label_value(value), f"values[{index}][{key}]", value)
        inside = operator in ("in", "=", "==")
        return lambda item: (_label(item, key) in wanted) is inside

    def _values(self) -> set[str]:
        sort, word = self._take()
        if sort != "(":
            raise ValueError(f"found '{word}' expected: '('")
        found, empty = set(), True
        while True:
            sort, word = self._take()
            if sort in ("word", "in", "notin"):
                found.add(word)
                empty = False
                if self._next()[0] not in (",", ")"):
                    raise ValueError(f"found '{self._next()[1]}', expected: ',' or ')'")
            elif sort in (",", ")"):
                found |= {""} if empty else set()
                empty = True
                if sort == ")":
                    return found
            else:
                raise ValueError(f"found '{word}', expected: ',', ')' or identifier")


def _words(text: str) -> Iterator[Token]:
    for match in _WORDS.finditer(text):
        if word := match["word"]:
            yield (word if word in ("in", "notin") else "word"), word
        special = match["special"] or ""
        while special:
            found = next(each for each in _SPECIAL if special.startswith(each))
            yield found, found
            special = special[len(found) :]


def _compared(key: str, operator: str, text: str) -> Predicate:
    try:
        limit = int(text)
    except ValueError:
        words = "for 'Gt', 'Lt' operators, the value must be an integer"
        raise ValueError(f"{Cause.invalid('values[0]', text, words)}") from None

    def test(item: Object) -> bool:
        value = _label(item, key) or ""
        return value.lstrip("-").isdecimal() and (int(value) > limit if operator == ">" else int(value) < limit)

    return test


def _refuse(faults: list[str], path: str, value: str) -> None:
    if faults:
        raise ValueError(f"{Cause.invalid(path, value, '; '.join(faults))}")


def _label(item: Object, key: str) -> str | None:
    labels: dict[str, str] = item["metadata"].get("labels") or {}
    return labels.get(key)


def _field_test(text: str, whole: str, kind: Kind | None) -> Predicate:
    match = _FIELD.fullmatch(text)
    if not match:
        raise BadRequest(f"invalid selector: '{whole}'; can't understand '{text}'")
    key, value, equal = match["key"], match["value"], match["operator"] != "!="
    _refuse_field(key, kind)
    path = key.split(".")
    return lambda item: (_field(item, path) == value) is equal


def _refuse_field(key: str, kind: Kind | None) -> None:
    if kind is None or key in ("metadata.name", "metadata.namespace", *_FIELDS.get(kind.name, ())):
        return
    if kind.name in _FIELDS or kind.custom:
        raise BadRequest(f"field label not supported: {key}")
    raise BadRequest(f'"{key}" is not a known field selector: only "metadata.name", "metadata.namespace"')


def _field(item: Object, path: list[str]) -> str:
    found: Any = item
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, dict) and path == ["source"]:
        found = found.get("component")
    return "" if found is None else str(found)
