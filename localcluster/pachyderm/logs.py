"""Log lines of jobs and pipelines: one file of JSON lines for each job, and one a pipeline for what its master says.

A job's log is bounded: past MOST_BYTES one line says that what its user code writes is no longer kept.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from localcluster.pachyderm.clock import now

MOST_BYTES = 64 * 1024 * 1024
MASTER = "master"


@dataclass(frozen=True)
class Line:
    """One line; `time` in microseconds since 1970, `user` where user code wrote it, `datum` an id or ""."""

    time: int
    message: str
    user: bool = False
    datum: str = ""


class Logs:
    """The logs below a directory; `wake` lets every `wait` return."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._changed = threading.Condition()
        self._version = 0

    def path(self, pipeline: int, job: int | str = MASTER) -> Path:
        """The file of a job, or of a pipeline's master (all by row number)."""
        return self._root / str(pipeline) / f"{job}.jsonl"

    def jobs(self, pipeline: int) -> list[int]:
        """The jobs of a pipeline that have a log, oldest first."""
        found = (path.stem for path in self.path(pipeline).parent.glob("*.jsonl"))
        return sorted(int(name) for name in found if name != MASTER)

    def write(self, path: Path, *messages: str, user: bool = False, datum: str = "") -> None:
        """Append lines; those of user code only while the file has not reached its bound."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(asdict(Line(now(), message, user, datum))) + "\n" for message in messages)
        with path.open("ab") as stream:
            before = stream.tell()
            if user and before >= MOST_BYTES:
                return
            stream.write(text.encode())
            if before < MOST_BYTES <= stream.tell():
                last = Line(now(), f"the log has reached {MOST_BYTES} bytes; what user code writes is no longer kept")
                stream.write(json.dumps(asdict(last)).encode() + b"\n")
        self.wake()

    def wake(self) -> None:
        """Let whoever waits for more lines look again."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    @property
    def version(self) -> int:
        """Changes with every line."""
        return self._version

    def wait(self, version: int) -> None:
        """Return once there may be more than there was at `version`."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version)

    def collect(self, wanted: dict[int, set[int]]) -> None:
        """Remove the logs of all but the wanted pipelines, and of all but their jobs."""
        for directory in self._root.glob("*"):
            jobs = wanted.get(int(directory.name))
            if jobs is None:
                shutil.rmtree(directory)
                continue
            for job in self.jobs(int(directory.name)):
                if job not in jobs:
                    self.path(int(directory.name), job).unlink()


def read(path: Path, offset: int = 0) -> Iterator[tuple[Line, int]]:
    """The whole lines of a file from a byte offset on, each with the offset behind it; none where there is no file."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        stream.seek(offset)
        for text in stream:
            if not text.endswith(b"\n"):
                return
            offset += len(text)
            with suppress(ValueError, TypeError):  # a crash of the machine may have torn a line
                yield Line(**json.loads(text)), offset
