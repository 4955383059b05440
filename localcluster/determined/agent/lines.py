"""From bytes of a trial's output to log lines, with level and rank told as Determined's own shipper tells them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

MAX_LINE = 64 * 1024
"""Bytes after which a line is broken, so that output without newlines cannot fill the memory."""

_RANK = re.compile(r"^\[rank=(\d+)\] ")
_LEVEL = re.compile(r"^(DEBUG|INFO|WARNING|ERROR|CRITICAL): ")


class LineSplitter:
    """Cuts a byte stream into lines; of what a progress bar overwrites with carriage returns, the last state stays."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Take more bytes and return the lines they complete."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > MAX_LINE:
            whole.append(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        return [_text(line) for line in whole]

    def finish(self) -> list[str]:
        """Return what came after the last newline."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def parse(text: str, stdtype: str) -> dict[str, Any]:
    """Return a spool entry: timestamp (RFC 3339, UTC), stdtype, level, rank (None where not told) and log."""
    rank = _RANK.match(text)
    if rank:
        text = text[rank.end() :]
    level = _LEVEL.match(text)
    if level:
        text = text[level.end() :]
    return {
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "stdtype": stdtype,
        "level": level.group(1) if level else "",
        "rank": int(rank.group(1)) if rank else None,
        "log": text,
    }


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace").replace("\0", "")
