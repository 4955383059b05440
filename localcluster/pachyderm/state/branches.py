"""Branches: named heads, their provenance, and the commits that a new head causes downstream."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from localcluster.pachyderm.clock import now
from localcluster.pachyderm.errors import BranchInUse, EndOfTransaction, NotFound, PachdError, ProvenanceCycle, during
from localcluster.pachyderm.names import RepoName, check_name, is_commit_id, new_commit_id
from localcluster.pachyderm.state import commits, jobs, repos
from localcluster.pachyderm.state.commits import Commit, Origin
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.repos import Repo


@dataclass(frozen=True)
class Branch:
    """A branch; `head` is the row number of its head commit, times in microseconds since 1970."""

    number: int
    repo: RepoName
    name: str
    head: int
    created: int
    updated: int

    def __str__(self) -> str:
        return f"{self.repo}@{self.name}"


_SELECT = """
SELECT b.number, r.project, r.name, r.type, b.name, b.head, b.created, b.updated
FROM branches b JOIN repos r ON r.number = b.repo
"""


def _branch(row: sqlite3.Row) -> Branch:
    number, project, name, kind, *rest = row
    return Branch(number, RepoName(project, name, kind), *rest)


def _select(tx: Transaction, where: str, *parameters: object) -> list[Branch]:
    return [_branch(row) for row in tx.execute(f"{_SELECT} {where}", parameters)]


def find(tx: Transaction, repo: Repo, name: str) -> Branch | None:
    """The branch, or None."""
    found = _select(tx, "WHERE b.repo=? AND b.name=?", repo.number, name)
    return found[0] if found else None


def get(tx: Transaction, repo_name: RepoName, name: str) -> Branch:
    """Raises NotFound (repo or branch)."""
    repo = repos.find(tx, repo_name)
    branch = find(tx, repo, name) if repo else None
    if branch is None:
        no_repo = "" if repo else f"{repo_name.row} not found\n"
        raise NotFound(f"{no_repo}branch (id=0, branch={repo_name}@{name}) not found")
    return branch


def list_branches(tx: Transaction, repo_name: RepoName | None) -> list[Branch]:
    """The branches of a repo, or of all repos, newest first."""
    if repo_name is None:
        return _select(tx, "ORDER BY b.number DESC")
    return _select(tx, "WHERE b.repo=? ORDER BY b.number DESC", repos.get(tx, repo_name).number)


def direct_provenance(tx: Transaction, branch: Branch) -> list[Branch]:
    """The branches that `branch` is computed from."""
    return _select(tx, "JOIN branch_provenance p ON p.upstream = b.number WHERE p.branch=?", branch.number)


def provenance(tx: Transaction, branch: Branch) -> list[Branch]:
    """All branches upstream of `branch`, upstream first."""
    return _closure(tx, branch, "upstream", "branch")


def subvenance(tx: Transaction, branch: Branch) -> list[Branch]:
    """All branches downstream of `branch`, upstream first."""
    return _closure(tx, branch, "branch", "upstream")


def _closure(tx: Transaction, branch: Branch, to: str, by: str) -> list[Branch]:
    return _select(
        tx,
        "JOIN (WITH RECURSIVE reached(number, depth) AS (SELECT ?, 0 UNION"  # noqa: S608
        f" SELECT p.{to}, depth + 1 FROM branch_provenance p JOIN reached ON p.{by} = reached.number)"
        " SELECT number, max(depth) AS depth FROM reached WHERE depth > 0 GROUP BY number) x"
        f" ON x.number = b.number ORDER BY x.depth {'DESC' if to == 'upstream' else ''}, b.number",
        branch.number,
    )


def set_head(tx: Transaction, repo: Repo, name: str, head: Commit) -> Branch:
    """Point a branch at a commit of its repo, creating the branch where it is missing."""
    if find(tx, repo, name) is None:
        check_name(name)
        if is_commit_id(name):
            raise PachdError("update head: branch name cannot be a UUID V4")
    moment = now()
    tx.execute(
        "INSERT INTO branches (repo, name, head, created, updated) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (repo, name) DO UPDATE SET head=excluded.head, updated=excluded.updated",
        (repo.number, name, head.number, moment, moment),
    )
    return get(tx, repo.name, name)


def empty_head(tx: Transaction, repo: Repo, name: str, commit_id: str) -> Commit:
    """Add the finished empty commit that a branch without data has as its head."""
    commit = commits.insert(tx, repo, commit_id, name, None, Origin.AUTO)
    tx.execute("UPDATE commits SET finished=?, complete=1 WHERE number=?", (now(), commit.number))
    return commit


def create(
    tx: Transaction,
    repo_name: RepoName,
    name: str,
    head: Commit | None,
    upstream: Sequence[tuple[RepoName, str]],
    commit_id: str = "",
) -> Branch:
    """Make a branch or change one: its provenance becomes `upstream`, its head `head` where one is given.

    Branches of `upstream` that are missing are made.  A branch that is new, or computed from others than before, gets a
    commit: an open one if it is computed, else an empty finished one.  All commits made have the id `commit_id`.
    """
    commit_id = commit_id or new_commit_id()
    for branch_name in (*(source[1] for source in upstream), name):
        check_name(branch_name)
    repo = _repo(tx, repo_name, commit_id)
    sources = [_source(tx, repo, name, *source, commit_id) for source in upstream]
    if head is not None and head.repo != repo_name:
        raise PachdError(f"branch {repo_name}@{name} and its head commit {head} must belong to the same repo")
    branch = find(tx, repo, name)
    before = {source.number for source in direct_provenance(tx, branch)} if branch else set()
    wanted = {source.number for source in sources}
    changed = bool(wanted and wanted != before) or (branch is None and head is None)
    with during("create branch"):
        if head is not None:
            branch = set_head(tx, repo, name, head)
        if changed:
            branch = advance(tx, repo, name, branch.head if branch else None, sources, commit_id)
    assert branch is not None
    tx.execute("DELETE FROM branch_provenance WHERE branch=?", (branch.number,))
    tx.executemany("INSERT INTO branch_provenance VALUES (?, ?)", [(branch.number, number) for number in wanted])
    if changed or head is not None:
        propagate(tx, branch, commit_id)
    _check_repos(tx, branch)
    return get(tx, repo_name, name)


def _repo(tx: Transaction, name: RepoName, commit_id: str) -> Repo:
    """The repo in which a branch gets its first commit.  Raises NotFound."""
    repo = repos.find(tx, name)
    if repo is None:
        commit = f"commit (int_id=0, commit_id={name.key}@{commit_id}) not found"
        raise NotFound(f"get commit by commit key: {name.row} not found\n{commit}")
    return repo


def _check_repos(tx: Transaction, branch: Branch) -> None:
    """Refuse two branches of one repo that are computed from each other's relatives, however far."""
    reached = {branch.number: branch}
    waiting = [branch]
    while waiting:
        at = waiting.pop()
        for other in provenance(tx, at) + subvenance(tx, at):
            if other.number not in reached:
                reached[other.number] = other
                waiting.append(other)
    repos_reached = [other.repo for other in reached.values()]
    for repo in repos_reached:
        if repos_reached.count(repo) > 1:
            words = f'multiple branches from the same repo, "{repo}", cannot participate in a DAG'
            raise EndOfTransaction(f"validate DAG at end of transaction: {words}")


def _source(tx: Transaction, repo: Repo, name: str, upstream: RepoName, branch_name: str, commit_id: str) -> Branch:
    if upstream == repo.name:
        raise PachdError(f"repo {upstream} cannot be in the provenance of its own branch")
    with during("create empty commit"):
        upstream_repo = _repo(tx, upstream, commit_id)
    source = find(tx, upstream_repo, branch_name)
    if source is None:
        return advance(tx, upstream_repo, branch_name, None, [], commit_id)
    if any((b.repo, b.name) == (repo.name, name) for b in (source, *provenance(tx, source))):
        raise ProvenanceCycle(f"{upstream.key}@{branch_name}", f"{repo.name.key}@{name}")
    return source


def delete(tx: Transaction, repo_name: RepoName, name: str, *, force: bool = False) -> None:
    """Remove a branch; its commits stay.  Raises PachdError where others are computed from it, unless `force`."""
    with during(f'get branch "{repo_name.key}@{name}"'):
        branch = get(tx, repo_name, name)
    downstream = _select(tx, "JOIN branch_provenance p ON p.branch = b.number WHERE p.upstream=?", branch.number)
    if downstream and not force:
        raise BranchInUse(branch, " ".join(map(str, downstream)))
    tx.execute("DELETE FROM branches WHERE number=?", (branch.number,))


def propagate(tx: Transaction, branch: Branch, commit_id: str) -> None:
    """Start a commit of the same commit set on each branch downstream of one that has a new head."""
    for downstream in subvenance(tx, branch):
        if commits.get(tx, downstream.head).id != commit_id:
            repo = repos.get(tx, downstream.repo)
            advance(tx, repo, downstream.name, downstream.head, direct_provenance(tx, downstream), commit_id)


def advance(
    tx: Transaction, repo: Repo, name: str, parent: int | None, sources: Sequence[Branch], commit_id: str
) -> Branch:
    """Give a branch a new head: an open one where it is computed from others, and the job that is to fill it."""
    if not sources:
        return set_head(tx, repo, name, empty_head(tx, repo, name, commit_id))
    commit = commits.insert(tx, repo, commit_id, name, parent, Origin.AUTO)
    heads = {source.head for source in sources}
    tx.executemany("INSERT INTO commit_provenance VALUES (?, ?)", [(commit.number, head) for head in heads])
    jobs.begin(tx, commit)
    return set_head(tx, repo, name, commit)
