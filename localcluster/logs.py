"""Shows the services' logs together, each line with its service's name, and follows them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO


@dataclass
class LogFile:
    """One log file, read on from where the last reading ended; a file that was moved aside is opened anew."""

    name: str
    path: Path
    stream: BinaryIO | None = None
    rest: bytes = field(default=b"")

    def read(self) -> list[str]:
        """The whole lines that were added since the last call."""
        if self.stream is not None and self.path.exists() and not self.path.samefile(f"/dev/fd/{self.stream.fileno()}"):
            self.stream.close()
            self.stream = None
        if self.stream is None:
            if not self.path.exists():
                return []
            self.stream = self.path.open("rb")
        *lines, self.rest = (self.rest + self.stream.read()).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def follow(directory: Path, names: list[str], tail: int, forever: bool) -> Iterator[tuple[str, str]]:
    """Yield (service, line): the last `tail` lines of each log, then new ones as they come if `forever`."""
    files = [LogFile(name, directory / f"{name}.log") for name in names]
    for file in files:
        for line in deque(file.read(), maxlen=tail):
            yield file.name, line
    while forever:
        for file in files:
            for line in file.read():
                yield file.name, line
        time.sleep(0.2)
