"""Which datums an input has, in upstream's order and with upstream's ids and hashes.

A datum's id is the BLAKE2b-256 over name, repo, branch and path of each of its inputs (each followed by its length as
8 bytes, big-endian), its hash the BLAKE2b-256 over the id's hexadecimal digits, the inputs' content hashes and the
pipeline's salt (src/server/worker/common/common.go).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localcluster.pachyderm.errors import PachdError
from localcluster.pachyderm.hashes import digest
from localcluster.pachyderm.specs.spec import Cross, Input, Pfs
from localcluster.pachyderm.state import files
from localcluster.pachyderm.state.commits import Commit
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.datums import Datum, DatumInput

MOST_DATUMS = 100_000
"""Of a job; they are in memory when it begins, and a cross grows faster than its author may think."""

_NO_FILES = digest().digest()


@dataclass(frozen=True)
class _Part:
    source: Pfs
    file: DatumInput


@dataclass(frozen=True)
class _Found:
    """A datum of a part of the input tree; `index` orders the datums of that part."""

    index: int
    id: str
    parts: tuple[_Part, ...]


def find(tx: Transaction, tree: Input, commit_of: Callable[[Pfs], Commit], salt: str) -> list[Datum]:
    """The datums of an input, in the order in which they are worked on.  Raises PachdError where they are too many."""
    found = sorted(_find(tx, tree, commit_of), key=lambda datum: (datum.index, datum.id))
    return [
        Datum(place, each.id, _hash(each, salt), tuple(part.file for part in each.parts))
        for place, each in enumerate(found)
    ]


def _find(tx: Transaction, node: Input, commit_of: Callable[[Pfs], Commit]) -> list[_Found]:
    if isinstance(node, Pfs):
        files = _files(tx, node, commit_of(node))
        _bound(len(files))
        return [_numbered(index, (part,)) for index, part in enumerate(files)]
    children = [_find(tx, child, commit_of) for child in node.inputs]
    if isinstance(node, Cross):
        sides = [sorted(child, key=lambda datum: datum.id) for child in children]
        _bound(math.prod(map(len, sides)))
        combinations = enumerate(itertools.product(*sides))
        return [_numbered(index, tuple(p for side in sides for p in side.parts)) for index, sides in combinations]
    return list({datum.id: datum for datum in reversed([*itertools.chain(*children)])}.values())


def _bound(number: int) -> None:
    if number > MOST_DATUMS:
        raise PachdError(f"the input has {number} datums; the local cluster's pachd takes at most {MOST_DATUMS} a job")


def _files(tx: Transaction, source: Pfs, commit: Commit) -> list[_Part]:
    return [
        _Part(source, DatumInput(source.name, commit.number, node.path, node.is_directory, node.size, node.hash.hex()))
        for node in files.glob(tx, commit, source.glob)
        if node.path != "/" or node.hash != _NO_FILES
    ]


def _numbered(index: int, parts: tuple[_Part, ...]) -> _Found:
    return _Found(index, _id(parts), parts)


def _id(parts: Sequence[_Part]) -> str:
    hasher = digest()
    for part in parts:
        for text in (part.source.name, part.source.repo.name, part.source.branch, part.file.path):
            hasher.update(text.encode() + len(text.encode()).to_bytes(8, "big"))
    return hasher.hexdigest()


def _hash(datum: _Found, salt: str) -> bytes:
    hasher = digest(datum.id.encode())
    for part in datum.parts:
        hasher.update(bytes.fromhex(part.file.hash))
    hasher.update(salt.encode())
    return hasher.digest()
