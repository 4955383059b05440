"""JSON and YAML from outside, before they are read: a small text can nest deeper than a stack, or grow by its aliases.

The words are those of Go's decoders, which the platforms use.  They take 10,000 levels; Python's stack does not.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

Loader = type[yaml.SafeLoader] | type[yaml.CSafeLoader]

DEPTH = 100
"""Levels of lists and objects that a document may have: several times what any object of the platforms has."""

REPEATED = 100_000
"""Nodes that a YAML document may have through its aliases."""

_WORDS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


class TooDeep(ValueError):
    """A JSON text that nests deeper than DEPTH."""


def check_json(text: str) -> None:
    """Raise TooDeep where the text opens more lists and objects inside each other than DEPTH; it need not be JSON."""
    depth = 0
    for match in _WORDS.finditer(text):
        word = match[0][0]
        depth += (word in "[{") - (word in "]}")
        if depth > DEPTH:
            raise TooDeep(f"invalid character '{word}' exceeded max depth")


def from_yaml(text: str | bytes, loader: Loader) -> Any:
    """The value of a YAML document as JSON has it: times are texts; raises yaml.YAMLError."""
    _check_yaml(text, loader)
    try:
        return json.loads(json.dumps(yaml.load(text, loader), default=str))  # noqa: S506 - it is a safe one
    except (TypeError, ValueError) as error:
        raise yaml.YAMLError(str(error)) from error


def _check_yaml(text: str | bytes, loader: Loader) -> None:
    """Raise yaml.YAMLError where the document nests deeper than DEPTH, or its aliases stand for too many nodes."""
    sizes: dict[str | None, int] = {}
    opened: list[tuple[str | None, int]] = []
    nodes = repeated = 0
    for event in yaml.parse(text, loader):
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in opened):
                raise yaml.YAMLError(f"anchor '{event.anchor}' value contains itself")
            size = sizes.get(event.anchor, 0)
            nodes, repeated = nodes + size, repeated + size
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, nodes))
            nodes += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = nodes - before
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if event.anchor:
                sizes[event.anchor] = 1
        if len(opened) > DEPTH:
            raise yaml.YAMLError(f"exceeded max depth of {DEPTH}")
        if repeated > REPEATED:
            raise yaml.YAMLError("document contains excessive aliasing")
