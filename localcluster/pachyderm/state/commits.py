"""Commits: records, how a caller's words find one, their relations and their listing."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import IntEnum

from localcluster.pachyderm.clock import now
from localcluster.pachyderm.errors import BranchNotFound, CommitNotFound, NotFound, PachdError, during
from localcluster.pachyderm.names import Ancestry, CommitName, RepoName, is_commit_id, parse_ancestry
from localcluster.pachyderm.state import repos
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.repos import Repo


class Origin(IntEnum):
    """Who made a commit, numbered as pfs_v2.OriginKind."""

    USER = 1
    AUTO = 2


class CommitState(IntEnum):
    """How far a commit is, numbered as pfs_v2.CommitState; finishing takes no time here."""

    STARTED = 1
    READY = 2
    FINISHING = 3
    FINISHED = 4


@dataclass(frozen=True)
class Commit:
    """A commit; times in microseconds since 1970, sizes in bytes; `branch` is the one it was made on."""

    number: int
    repo: RepoName
    repo_number: int
    id: str
    branch: str
    parent: int | None
    origin: Origin
    description: str
    started: int
    finished: int | None
    error: str
    size: int

    def __str__(self) -> str:
        return f"{self.repo}@{self.id}"


@dataclass(frozen=True)
class Relations:
    """The neighbours of a commit."""

    state: CommitState
    parent: Commit | None
    children: list[Commit]
    provenance: list[Commit]
    subvenance: list[Commit]


_SELECT = """
SELECT c.number, r.project, r.name, r.type, c.repo, c.id, c.branch, c.parent, c.origin, c.description, c.started,
  c.finished, c.error, c.size FROM commits c JOIN repos r ON r.number = c.repo
"""


def _commit(row: sqlite3.Row) -> Commit:
    number, project, name, kind, repo, id_, branch, parent, origin, *rest = row
    return Commit(number, RepoName(project, name, kind), repo, id_, branch, parent, Origin(origin), *rest)


def select(tx: Transaction, where: str, *parameters: object) -> list[Commit]:
    """The commits `c` that satisfy an SQL condition (with whatever ORDER BY it ends in)."""
    return [_commit(row) for row in tx.execute(f"{_SELECT} {where}", parameters)]


def get(tx: Transaction, number: int) -> Commit:
    """The commit with this row number, which exists."""
    return select(tx, "WHERE c.number=?", number)[0]


def insert(
    tx: Transaction, repo: Repo, commit_id: str, branch: str, parent: int | None, origin: Origin, description: str = ""
) -> Commit:
    """Add an open commit."""
    number = tx.execute(
        "INSERT INTO commits (repo, id, branch, parent, origin, description, started) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (repo.number, commit_id, branch, parent, origin, description, now()),
    ).lastrowid
    assert number is not None
    return get(tx, number)


def resolve(tx: Transaction, name: CommitName) -> Commit:
    """The commit that a caller means by an id or a branch, either with `^n` or `.n`; no name at all means an error.

    An id that the repo lacks stands for the commit of this repo in the provenance of the commit set with that id.
    Raises NotFound (repo, branch, commit), and PachdError where the line of ancestors is too short.
    """
    with during("pick commit tx"):
        if not name.reference:
            raise PachdError("cannot pick commit with no ID or branch")
        with during(f"calculate offset {name}"):
            ancestry = parse_ancestry(name.reference)
        by_id = is_commit_id(ancestry.base)
        if by_id and ancestry.forward is not None:
            picker = f"unmarshal branch picker {name.repo}@{ancestry.base}: invalid branch picker"
            raise PachdError(f"{picker}: name refers to a commit, not a branch")
        with during(f"picking commit: {'' if by_id else 'picking branch: '}picking repo: picking project"):
            repos.find_project(tx, name.repo.project)
        try:
            commit = _base(tx, repos.get(tx, name.repo), ancestry.base, name.reference)
        except NotFound as missing:
            raise NotFound(f"commit {name.repo}@{name.id} not found\n{missing}") from None
        with during("picking commit"):
            return _relative(tx, commit, ancestry)


def _relative(tx: Transaction, commit: Commit, ancestry: Ancestry) -> Commit:
    if ancestry.forward is None and not ancestry.back:
        return commit
    line = history(tx, commit)
    if ancestry.forward is None:
        if ancestry.back >= len(line):
            raise PachdError(
                f"invalid offset for ancestor of commit: {commit.repo.key}@{commit.id},"
                f" offset requested: {ancestry.back}, offset traversable: {len(line) - 1}"
            )
        return line[ancestry.back]
    if not 1 <= ancestry.forward <= len(line):
        raise PachdError(
            f"invalid offset from branch root for head commit: {commit.repo.key}@{commit.id},"
            f" offset: {ancestry.forward - 1}, maximum depth: {len(line)}"
        )
    return line[-ancestry.forward]


def _base(tx: Transaction, repo: Repo, base: str, reference: str) -> Commit:
    if not is_commit_id(base):
        found = select(tx, "JOIN branches b ON b.head = c.number WHERE b.repo=? AND b.name=?", repo.number, base)
        if not found:
            raise BranchNotFound(repo.name, reference)
        return found[0]
    found = select(tx, "WHERE c.repo=? AND c.id=?", repo.number, base) or select(
        tx,
        "WHERE c.repo=? AND c.number IN (WITH RECURSIVE upstream(number) AS ("
        " SELECT number FROM commits WHERE id=? UNION SELECT p.upstream FROM commit_provenance p"
        " JOIN upstream u ON p.commit_number = u.number) SELECT number FROM upstream) ORDER BY c.number DESC",
        repo.number,
        base,
    )
    if not found:
        raise CommitNotFound(repo.name, reference)
    return found[0]


def history(tx: Transaction, commit: Commit) -> list[Commit]:
    """The commit and its ancestors, youngest first."""
    return select(
        tx,
        "WHERE c.number IN (WITH RECURSIVE line(number, parent) AS ("
        " SELECT number, parent FROM commits WHERE number=? UNION ALL"
        " SELECT a.number, a.parent FROM commits a JOIN line ON a.number = line.parent)"
        " SELECT number FROM line) ORDER BY c.number DESC",
        commit.number,
    )


def relations(tx: Transaction, commit: Commit) -> Relations:
    """The commit's state and neighbours."""
    provenance = select(tx, "JOIN commit_provenance p ON p.upstream = c.number WHERE p.commit_number=?", commit.number)
    subvenance = select(tx, "JOIN commit_provenance p ON p.commit_number = c.number WHERE p.upstream=?", commit.number)
    if commit.finished is not None:
        state = CommitState.FINISHED
    elif all(upstream.finished is not None for upstream in provenance):
        state = CommitState.READY
    else:
        state = CommitState.STARTED
    parent = None if commit.parent is None else get(tx, commit.parent)
    children = select(tx, "WHERE c.parent=? ORDER BY c.number", commit.number)
    return Relations(state, parent, children, provenance, subvenance)


def in_set(tx: Transaction, commit_set: str) -> list[Commit]:
    """The commits with this id, upstream before downstream."""
    return select(tx, "WHERE c.id=? ORDER BY c.number", commit_set)
