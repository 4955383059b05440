"""Feedback on its way to Pachyderm: files on a mounted volume, synced before a request is acknowledged.

A worker process appends whole lines to an open file of its own.  The sender closes a file by renaming it, sends it
under that name and removes it.  No name is ever used twice and a closed file never changes, so sending one again
after a crash replaces what is there already.  The file's lock (flock) is held for each append and for the closing.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from .errors import SpoolError

OPEN, CLOSED = ".open", ".jsonl"
LIMIT = 256 * 2**20
"""Bytes that may wait for Pachyderm: feedback on about 200,000 images."""

_MOMENT = "%Y-%m-%dT%H%M%SZ"
_NAME = re.compile(r"(?P<moment>(?P<day>\d{4}-\d\d-\d\d)T\d{6}Z)-[\w.-]+-[0-9a-f]{12}\.(open|jsonl)")


class Spool:
    """Where one process appends; several processes, of one Pod or of many, may share the directory."""

    def __init__(self, directory: Path, limit: int) -> None:
        """`limit` bounds the bytes of all files in the directory; nothing is touched before the first line."""
        self._directory = directory
        self._limit = limit
        self._mutex = threading.Lock()
        self._path: Path | None = None

    @classmethod
    def from_environment(cls) -> Spool | None:
        """The directory that `FEEDBACK_SPOOL` names; None where it names none."""
        directory = os.environ.get("FEEDBACK_SPOOL")
        return cls(Path(directory), LIMIT) if directory else None

    def append(self, lines: bytes) -> None:
        """Return once the lines are on the disk.  Raises SpoolError; then none of them counts as stored."""
        with self._mutex:
            try:
                self._append(lines)
            except OSError as error:
                # The disk may keep a torn end of them all the same: the next lines go to another file.
                self._path = None
                raise SpoolError(
                    f"the feedback was not stored ({error.strerror}: {self._directory}); predictions are not "
                    "affected, send it again later"
                ) from error

    def _append(self, lines: bytes) -> None:
        if size(self._directory) + len(lines) > self._limit:
            raise SpoolError(
                f"the feedback was not stored: {self._limit // 2**20} MiB wait to be sent to Pachyderm; predictions "
                "are not affected, send it again later"
            )
        with self._opened() as descriptor:
            before = os.fstat(descriptor).st_size
            try:
                rest = memoryview(lines)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            except OSError:
                # The client will send them again: those that are whole must not be sent from here too.
                with suppress(OSError):
                    os.ftruncate(descriptor, before)
                    os.fsync(descriptor)
                raise

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The file of this process, locked; a new one where the sender has closed the last."""
        while True:
            path, descriptor = self._open()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if path.exists():
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def _open(self) -> tuple[Path, int]:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        if self._path is not None:
            with suppress(FileNotFoundError):
                return self._path, os.open(self._path, flags)
        self._directory.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):{_MOMENT}}-{socket.gethostname()}-{uuid.uuid4().hex[:12]}{OPEN}"
        self._path = self._directory / name
        descriptor = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, 0o660)
        _sync(self._directory)
        return self._path, descriptor


def size(directory: Path) -> int:
    """Bytes of all files in the directory; 0 where there is none yet."""
    return sum(status.st_size for _, status in _files(directory))


def close_due(directory: Path, seconds: float, enough: int) -> None:
    """Close the open files that were begun `seconds` ago or hold `enough` bytes.  Raises OSError."""
    for path, status in _files(directory):
        if path.suffix == OPEN and (status.st_size >= enough or _age(path) >= seconds):
            close(path)


def close(path: Path) -> None:
    """Rename an open file, without the torn line that a power cut or a full disk may have left at its end."""
    with suppress(FileNotFoundError), path.open("r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        whole = _whole_lines(stream.fileno())
        os.ftruncate(stream.fileno(), whole)
        os.fsync(stream.fileno())
        if whole:
            path.rename(path.with_suffix(CLOSED))
        else:
            path.unlink()
        _sync(path.parent)


def closed(directory: Path) -> list[Path]:
    """The files that wait to be sent, oldest first."""
    return sorted(path for path, _ in _files(directory) if path.suffix == CLOSED)


def destination(path: Path) -> str:
    """Where a closed file goes in the repo: a folder a day."""
    return f"/{_parts(path)['day']}/{path.name}"


def _whole_lines(descriptor: int) -> int:
    """Bytes up to the end of the last whole line."""
    if not os.fstat(descriptor).st_size:
        return 0
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
        return content.rfind(b"\n") + 1


def _files(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if _NAME.fullmatch(entry.name):
                    yield Path(entry.path), entry.stat()


def _age(path: Path) -> float:
    begun = datetime.strptime(_parts(path)["moment"], _MOMENT).replace(tzinfo=UTC)
    return (datetime.now(UTC) - begun).total_seconds()


def _parts(path: Path) -> re.Match[str]:
    found = _NAME.fullmatch(path.name)
    assert found, f"{path} is not a file of the spool"
    return found


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
