"""What a ModifyFile stream asks for, and applying it to an open commit in the order asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from localcluster.pachyderm.blobs import Blob, Blobs
from localcluster.pachyderm.hashes import FileHash
from localcluster.pachyderm.names import CommitName, clean_path
from localcluster.pachyderm.state import trees
from localcluster.pachyderm.state.commits import Commit
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.trees import Entry, Tree

MOST_PIECES = 64
"""A file appended to more often than this becomes one new blob."""


@dataclass(frozen=True)
class Append:
    """Add a blob's bytes to the end of a file, which need not exist."""

    path: str
    blob: Blob


@dataclass(frozen=True)
class Delete:
    """Remove a file, or with a trailing slash all files of a directory; nothing to remove is no error."""

    path: str


@dataclass(frozen=True)
class Copy:
    """Put the file or the directory `source_path` of a commit at `path`, or with `append` at the end of files there."""

    path: str
    source: CommitName
    source_path: str
    append: bool


@dataclass(frozen=True)
class Copied:
    """A copy whose source has been read: the files to put."""

    files: list[Entry]
    append: bool


Change = Append | Delete | Copy
Ready = Append | Delete | Copied


def with_sources(tx: Transaction, asked: Iterable[Change]) -> list[Ready]:
    """The changes with each copy's files, as they are before any of the changes; what is not there is no file.

    Raises NotFound where a source has no such commit, PachdError where it cannot be read yet.
    """
    return [_copied(tx, change) if isinstance(change, Copy) else change for change in asked]


def apply(tx: Transaction, blobs: Blobs, commit: Commit, changes: Iterable[Ready]) -> None:
    """Apply the changes to an open commit."""
    tree = Tree(tx, commit.number)
    for change in changes:
        match change:
            case Append(path, blob):
                _append(tx, blobs, commit, tree, trees.entry(clean_path(path), blob))
            case Delete(path):
                doomed = [clean_path(path)]
                if path.endswith("/"):
                    doomed = [entry.path for entry in tree.files(clean_path(path))]
                for victim in doomed:
                    trees.remove(tx, commit, victim)
            case Copied(files, append):
                for entry in files:
                    if not append:
                        trees.remove(tx, commit, entry.path)
                    _append(tx, blobs, commit, tree, entry)


def _append(tx: Transaction, blobs: Blobs, commit: Commit, tree: Tree, new: Entry) -> None:
    old = tree.file(new.path)
    if old is None or not old.pieces:
        trees.put(tx, commit, new)
    elif new.pieces:
        pieces = old.pieces + new.pieces
        if len(pieces) > MOST_PIECES:
            writer = blobs.writer()
            for data in blobs.read(pieces):
                writer.write(data)
            merged = writer.store()
            blobs.sync([merged])
            trees.put(tx, commit, trees.entry(new.path, merged))
            return
        whole = FileHash()
        for data in blobs.read(pieces):
            whole.update(data)
        trees.put(tx, commit, Entry(new.path, pieces, old.size + new.size, whole.digest()))


def _copied(tx: Transaction, change: Copy) -> Copied:
    source = trees.readable(tx, change.source)
    tree = Tree(tx, source.number)
    origin, target = clean_path(change.source_path), clean_path(change.path)
    entry = tree.file(origin)
    found = [entry] if entry else tree.files(origin)
    cut = len(origin.rstrip("/"))
    files = [Entry(clean_path(target + e.path[cut:]), e.pieces, e.size, e.hash) for e in found]
    return Copied(files, change.append)
