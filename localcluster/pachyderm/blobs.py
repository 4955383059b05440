"""File contents, each stored once under its own hash, so that copies and repeated uploads cost no space.

A blob's id is the BLAKE2b-256 of its bytes (32 bytes; hex on disk).  A blob is streamed to `uploads/`, renamed into
`blobs/` and synced before a transaction refers to it; it never changes afterwards.  A blob that no transaction came to
refer to is removed by `collect` at the next start, and `uploads/` is emptied.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from localcluster.files import sync_directory
from localcluster.pachyderm.errors import DataLoss
from localcluster.pachyderm.hashes import FileHash, digest

CHUNK = 1024 * 1024
THREAD_FROM = 64 * 1024
"""Bytes of one write that a thread hashes; passing it fewer takes longer than hashing them."""
MOST_SINGLE_SYNCS = 8


@dataclass(frozen=True)
class Blob:
    """A stored byte sequence: its id, its size in bytes, and the hash of a file of these bytes."""

    id: bytes
    size: int
    hash: bytes


class BlobWriter:
    """One upload: write any number of times, then `store` or `abandon`.

    A thread hashes the bytes while they go to the disk.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._hash = FileHash()
        self._thread = ThreadPoolExecutor(1)
        self._hashing: Future[None] | None = None
        self._size = 0
        descriptor, name = tempfile.mkstemp(dir=blobs.uploads)
        self._path = Path(name)
        self._stream: IO[bytes] = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, data: bytes | memoryview) -> None:
        """Append `data` to the upload."""
        self._finish_hashing()
        if len(data) >= THREAD_FROM:
            self._hashing = self._thread.submit(self._hash.update, data)
        else:
            self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[self._stream.write(view) :]
        self._size += len(data)

    def store(self) -> Blob:
        """Keep the bytes written so far as a blob, which only `Blobs.sync` makes durable."""
        self._finish_hashing()
        self._thread.shutdown()
        self._stream.close()
        blob = Blob(self._hash.content(), self._size, self._hash.digest())
        target = self._blobs.path(blob.id)
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            self._path.unlink()
        else:
            self._path.replace(target)
        return blob

    def abandon(self) -> None:
        """Drop the upload; does nothing after `store`."""
        self._thread.shutdown()
        self._stream.close()
        self._path.unlink(missing_ok=True)

    def _finish_hashing(self) -> None:
        if self._hashing:
            self._hashing.result()
            self._hashing = None


class Blobs:
    """The blobs of one pachd, below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root / "blobs"
        self.uploads = root / "uploads"
        self.root.mkdir(parents=True, exist_ok=True)
        self.uploads.mkdir(exist_ok=True)

    def writer(self) -> BlobWriter:
        """Begin an upload."""
        return BlobWriter(self)

    def path(self, blob: bytes) -> Path:
        """Where the blob with this id lies."""
        name = blob.hex()
        return self.root / name[:2] / name[2:]

    def sync(self, blobs: Iterable[Blob]) -> None:
        """Return once the blobs are on the disk; whoever refers to a blob, also to one that was there, syncs it first.

        Many are synced with their whole file system at once, which takes a disk far less time than one by one.
        """
        paths = {self.path(blob.id) for blob in blobs}
        if len(paths) > MOST_SINGLE_SYNCS:
            _sync_file_system(self.root)
            return
        for path in paths:
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
        for directory in {path.parent for path in paths}:
            sync_directory(directory)
        sync_directory(self.root)

    def size(self, blob: bytes) -> int:
        """The blob's size in bytes.  Raises DataLoss where it is gone."""
        try:
            return self.path(blob).stat().st_size
        except FileNotFoundError:
            raise self._lost(blob, "is missing") from None

    def read(self, pieces: list[bytes], offset: int = 0, chunk: int = CHUNK) -> Iterator[bytes]:
        """Yield the bytes of the blobs one after another from byte `offset` on, at most `chunk` bytes at a time."""
        for blob in pieces:
            size = self.size(blob)
            if offset >= size:
                offset -= size
                continue
            with self.path(blob).open("rb", buffering=0) as stream:
                stream.seek(offset)
                left, offset = size - offset, 0
                while left:
                    data = stream.read(min(chunk, left))
                    if not data:
                        raise self._lost(blob, f"ends {left} bytes early")
                    left -= len(data)
                    yield data

    def damaged(self, referenced: set[bytes]) -> Iterator[str]:
        """Yield one sentence for each referenced blob that is missing or whose bytes no longer have its hash."""
        for blob in sorted(referenced):
            actual = digest()
            try:
                for data in self.read([blob]):
                    actual.update(data)
            except DataLoss as error:
                yield str(error)
                continue
            if actual.digest() != blob:
                yield str(self._lost(blob, f"has the hash {actual.hexdigest()}"))

    def collect(self, referenced: set[bytes]) -> int:
        """Remove unfinished uploads and unreferenced blobs; only while no call runs.  Returns their number."""
        garbage = list(self.uploads.iterdir())
        for directory in self.root.iterdir():
            garbage += [path for path in directory.iterdir() if _id(path) not in referenced]
        for path in garbage:
            with suppress(FileNotFoundError):
                path.unlink()
        return len(garbage)

    def _lost(self, blob: bytes, what: str) -> DataLoss:
        return DataLoss(f"blob {self.path(blob)} {what}; restore the file from a backup or put its data again")


def _sync_file_system(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), f"cannot sync the file system of {directory}")
    finally:
        os.close(descriptor)


def _id(path: Path) -> bytes:
    with suppress(ValueError):
        return bytes.fromhex(path.parent.name + path.name)
    return b""
