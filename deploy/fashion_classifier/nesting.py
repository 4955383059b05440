"""How much a JSON message holds and how deeply: both bounded, since what reads and writes it has bounds of its own.

orjson reads 1024 levels and writes 254; protobuf's JSON reader fails beyond about 190.  A list takes at least 56 bytes
of memory for the two that it has in JSON, and a number 32 for its two, so bytes of text alone bound nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .errors import BadInput

MAX_DEPTH = 100
MAX_PARTS = 300_000
"""Lists, objects and strings in one message: 368 images where each pixel is a list of its own take 299,553 lists."""
MAX_VALUES = 1_000_000
"""Values in one message: 1,275 images as numbers.  Reading so many takes up to 68 MiB (measured, 14 digits each), which
all the threads of a Pod may do at once."""
MAX_FEEDBACK = 50_000
"""JSON values in one feedback message: about 60 images as numbers.  Seldon's protobuf is pure Python and takes 14
microseconds for a number, 33 for a list: two seconds at most."""


def check_text(text: str | bytes) -> None:
    """Refuse JSON of too many parts or values before it is parsed.  Raises BadInput."""
    if len(text) <= 2 * MAX_PARTS:
        return  # Each value and each part takes two bytes at least, with its comma.
    content = text.encode(errors="replace") if isinstance(text, str) else text
    if content.count(b",") >= MAX_VALUES:
        raise BadInput(
            f"the message holds more than {MAX_VALUES:,} values; send fewer images at once, or their pixels as bytes: "
            '{"binData": "base64 of n*784 bytes"}'
        )
    if content.count(b"[") + content.count(b"{") + content.count(b'"') // 2 > MAX_PARTS:
        raise BadInput(
            f"the message holds more than {MAX_PARTS:,} lists, objects and strings; send the pixels as one flat list: "
            '{"data": {"tensor": {"shape": [n,28,28], "values": [n*784 numbers]}}}'
        )


def levels(value: object) -> Iterator[list[Any]]:
    """The lists and objects in a JSON value, level by level from the outside."""
    level = [value] if isinstance(value, list | dict) else []
    while level:
        yield level
        level = [
            part
            for each in level
            for part in (each.values() if isinstance(each, dict) else each)
            if isinstance(part, list | dict)
        ]


def check_depth(value: object, name: str) -> None:
    """Refuse a JSON value of more than MAX_DEPTH levels; `name` is where it stands.  Raises BadInput."""
    if sum(1 for _ in levels(value)) > MAX_DEPTH:
        raise too_deep(name)


def too_deep(name: str) -> BadInput:
    """What is said about a JSON value of too many levels."""
    return BadInput(f"{name} is nested deeper than {MAX_DEPTH} levels; send it flatter")
