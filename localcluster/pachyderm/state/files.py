"""Reading files: inspect, list, walk, glob and diff, with the directories that the paths imply.

A directory's hash is the BLAKE2b-256 of its children's hashes in walk order, its size the sum of theirs.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from localcluster.pachyderm.errors import NotFound, PachdError
from localcluster.pachyderm.globs import is_glob, matcher
from localcluster.pachyderm.hashes import digest
from localcluster.pachyderm.names import clean_path
from localcluster.pachyderm.state.commits import Commit
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.trees import Entry, Tree

MOST_LISTED = 100_000


@dataclass(frozen=True)
class Node:
    """A file or a directory (its path ends in "/"); size in bytes, hash 32 bytes; `pieces` None for a directory."""

    path: str
    size: int
    hash: bytes
    pieces: list[bytes] | None = None

    @property
    def is_directory(self) -> bool:
        """Whether this is a directory."""
        return self.pieces is None


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _OpenDirectory:
    def __init__(self, path: str, place: int) -> None:
        self.path, self.place = path, place
        self.size = 0
        self.hash: _Hash = digest()

    def add(self, node: Node) -> None:
        self.size += node.size
        self.hash.update(node.hash)


def nodes(entries: Iterable[Entry], root: str = "/") -> list[Node]:
    """The directory `root` (a clean path) and all below it in walk order, made from its files in path order."""
    placeholder = Node("", 0, b"")
    found = [placeholder]
    stack = [_OpenDirectory(root.rstrip("/") + "/", 0)]

    def close() -> None:
        done = stack.pop()
        found[done.place] = Node(done.path, done.size, done.hash.digest())
        if stack:
            stack[-1].add(found[done.place])

    for entry in entries:
        while not entry.path.startswith(stack[-1].path):
            close()
        while (slash := entry.path.find("/", len(stack[-1].path))) >= 0:
            stack.append(_OpenDirectory(entry.path[: slash + 1], len(found)))
            found.append(placeholder)
        node = Node(entry.path, entry.size, entry.hash, entry.pieces)
        stack[-1].add(node)
        found.append(node)
    while stack:
        close()
    return found


def _at(tx: Transaction, commit: Commit, path: str) -> list[Node]:
    """The file at a path, or the directory with all below it; empty where there is neither."""
    tree, path = Tree(tx, commit.number), clean_path(path)
    entry = tree.file(path)
    if entry:
        return [Node(entry.path, entry.size, entry.hash, entry.pieces)]
    entries = tree.files(path)
    return nodes(entries, path) if entries else []


def inspect(tx: Transaction, commit: Commit, path: str) -> Node | None:
    """The file or directory at a path, with or without a trailing slash; None where there is neither."""
    return next(iter(_at(tx, commit, path)), None)


def list_files(tx: Transaction, commit: Commit, path: str) -> list[Node]:
    """A directory's immediate children, or the file itself; empty where there is neither."""
    found = _at(tx, commit, path)
    if not found or not found[0].is_directory:
        return found
    base = len(found[0].path)
    return [node for node in found[1:] if "/" not in node.path[base:].rstrip("/")]


def walk(tx: Transaction, commit: Commit, path: str) -> list[Node]:
    """The file, or the directory and all below it, by path.  Raises NotFound (not for "/" of an empty commit)."""
    found = _at(tx, commit, path)
    if not found and clean_path(path) != "/":
        raise NotFound(f"commit/{commit.id} does not contain item: ({clean_path(path)})")
    return found


def glob(tx: Transaction, commit: Commit, pattern: str, *, contents: bool = False) -> list[Node]:
    """The files and directories that match, by path; with `contents` also all that lies in matched directories."""
    if not is_glob(pattern):
        found = _at(tx, commit, pattern)
        return found if contents else found[:1]
    matches = matcher(pattern)
    found = nodes(Tree(tx, commit.number).files())[1:]
    if not contents:
        return [node for node in found if matches(node.path)]
    chosen: list[Node] = []
    inside = ""
    for node in found:
        if inside and node.path.startswith(inside):
            chosen.append(node)
        elif matches(node.path):
            chosen.append(node)
            inside = node.path if node.is_directory else ""
    return chosen


def only_file(found: list[Node]) -> Node:
    """The one file among what a path or glob matched.  Raises PachdError on a directory or several."""
    if any(node.is_directory for node in found[:2]):
        raise PachdError("cannot get directory or non-regular file. Use GetFileTAR instead")
    if len(found) > 1:
        raise PachdError("matched multiple files. Use GetFileTAR instead")
    return found[0]


def diff(
    tx: Transaction, new: tuple[Commit, str], old: tuple[Commit, str] | None
) -> Iterator[tuple[Node | None, Node | None]]:
    """Pairs (new, old) of what differs between two commits at two paths, by path; None where one side lacks it."""
    before, after = ({node.path: node for node in _at(tx, *side)} if side else {} for side in (old, new))
    for place in sorted(before.keys() | after.keys()):
        left, right = after.get(place), before.get(place)
        if left is None or right is None or left.hash != right.hash or left.is_directory != right.is_directory:
            yield left, right


def page(found: list[Node], *, marker: str, number: int, reverse: bool) -> list[Node]:
    """At most `number` (0: all) of the nodes after the path `marker` (before it in `reverse`).  Raises PachdError."""
    if reverse and not number:
        raise PachdError("number must be > 0 when reverse is true")
    if number > MOST_LISTED:
        raise PachdError(f"cannot return more than {MOST_LISTED} files at a time")
    if marker:
        edge = posixpath.normpath(marker)
        found = [n for n in found if (n.path.rstrip("/") < edge if reverse else n.path.rstrip("/") > edge)]
    if reverse:
        found = found[::-1]
    return found[:number] if number > 0 else found
