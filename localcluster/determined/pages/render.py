"""Templates, and the few ways in which they write times, numbers and states."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jinja2

ROOM = Path(__file__).parent
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours of terminals, and characters that no HTML may have."""


def page(template: str, **variables: Any) -> bytes:
    """Return a whole page; half a surrogate pair, which JSON can name, becomes a question mark."""
    return _TEMPLATES.get_template(template).render(**variables).encode("utf-8", "replace")


def number(value: Any) -> str:
    """Write a number with five significant digits, anything else as it is."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.5g}"
    return str(value)


def when(stamp: str) -> str:
    """Write an RFC 3339 time in this machine's zone, to the second."""
    try:
        return datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return stamp


def duration(start: str, end: str | None) -> str:
    """Write how long it was from `start` to `end`, or to now, as hours, minutes and seconds."""
    last = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return str(max(timedelta(), timedelta(seconds=round((last - datetime.fromisoformat(start)).total_seconds()))))


def plain(text: str) -> str:
    """Strip what a terminal would not print."""
    return _CONTROL.sub("", text)


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(ROOM / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"number": number, "when": when, "duration": duration, "plain": plain}
