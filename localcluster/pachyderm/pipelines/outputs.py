"""From a datum's directory to PFS: finding the files that user code left in /pfs/out and storing their bytes."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from localcluster.pachyderm.blobs import CHUNK, Blob, Blobs
from localcluster.pachyderm.errors import PachdError
from localcluster.pachyderm.names import check_path
from localcluster.pachyderm.pipelines.sandbox import PFS
from localcluster.pachyderm.state import trees
from localcluster.pachyderm.state.trees import Entry

MOST_LINKS = 40
"""As the kernel, which calls a longer chain of symbolic links a loop."""


def collect(blobs: Blobs, pfs: Path) -> list[Entry]:
    """Store the files below `pfs`/out durably.  Raises PachdError, naming the path, on what PFS cannot hold."""
    found = []
    stored = []
    for name, path in sorted(_files(pfs, pfs / "out", "", 0)):
        try:
            check_path(name)
        except PachdError as error:
            raise PachdError(
                "cannot upload file produced by the user code because its name cannot be represented in PFS:"
                f" {str(error).encode('ascii', 'backslashreplace').decode()}"
            ) from None
        blob = _store(blobs, path)
        stored.append(blob)
        found.append(trees.entry(name, blob))
    blobs.sync(stored)
    return found


def _store(blobs: Blobs, path: Path) -> Blob:
    writer = blobs.writer()
    try:
        with path.open("rb", buffering=0) as stream:
            while data := stream.read(CHUNK):
                writer.write(data)
        return writer.store()
    finally:
        writer.abandon()


def _files(pfs: Path, directory: Path, name: str, links: int) -> Iterator[tuple[str, Path]]:
    """The name in PFS and the place of each regular file; named pipes are passed over, as upstream does."""
    for entry in directory.iterdir():
        below = f"{name}/{entry.name}"
        depth, path = links, entry
        if entry.is_symlink():
            depth, path = links + 1, _followed(pfs, entry, below)
        kind = path.lstat().st_mode
        if stat.S_ISDIR(kind):
            if depth > MOST_LINKS:
                raise PachdError(f"/pfs/out{below}: too many levels of symbolic links")
            yield from _files(pfs, path, below, depth)
        elif stat.S_ISREG(kind):
            yield below, path
        elif not stat.S_ISFIFO(kind):
            raise PachdError(f"/pfs/out{below} is neither a file nor a directory")


def _followed(pfs: Path, link: Path, name: str) -> Path:
    """What a symbolic link stands for, as user code sees it: /pfs is `pfs`, and nothing outside of it is given away."""
    waiting = list(reversed(link.relative_to(pfs).parts))
    place, followed = pfs, 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            if place == pfs:
                raise _outside(name)
            place = place.parent
            continue
        place /= part
        if place.is_symlink():
            followed += 1
            if followed > MOST_LINKS:
                raise PachdError(f"/pfs/out{name}: too many levels of symbolic links")
            target, place = place.readlink(), place.parent
            if target.is_absolute():
                root = next((root for root in (Path(PFS), pfs) if target.is_relative_to(root)), None)
                if root is None:
                    raise _outside(name)
                target, place = target.relative_to(root), pfs
            waiting += reversed(target.parts)
    if not place.exists():
        raise PachdError(f"/pfs/out{name} is a symbolic link to a file that does not exist")
    return place


def _outside(name: str) -> PachdError:
    return PachdError(f"/pfs/out{name} is a symbolic link to a place outside /pfs; copy the file instead")
