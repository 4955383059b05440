"""Commit sets (all commits with one id) and the removal of commits: squash keeps their data, drop does not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from localcluster.pachyderm.errors import NotFound, PachdError, during
from localcluster.pachyderm.names import SPEC, CommitName, RepoName, new_commit_id
from localcluster.pachyderm.state import branches, commits, jobs, repos, trees
from localcluster.pachyderm.state.commits import Commit, Origin
from localcluster.pachyderm.state.database import Transaction


def get(tx: Transaction, commit_set: str) -> list[Commit]:
    """The commits of a set, upstream first.  Raises NotFound."""
    found = commits.in_set(tx, commit_set)
    if not found:
        raise NotFound(f"no commits found for commitset {commit_set}")
    return found


def with_provenance(tx: Transaction, found: Sequence[Commit]) -> list[Commit]:
    """The commits and all that they were computed from, also of other sets; upstream first."""
    return commits.select(
        tx,
        "WHERE c.number IN (WITH RECURSIVE upstream(number) AS ("  # noqa: S608
        f" SELECT number FROM commits WHERE number IN ({','.join(str(commit.number) for commit in found)})"
        " UNION SELECT p.upstream FROM commit_provenance p JOIN upstream u ON p.commit_number = u.number)"
        " SELECT number FROM upstream) ORDER BY c.number",
    )


def list_sets(tx: Transaction, project: str) -> list[list[Commit]]:
    """All commit sets that touch a project ("" for any), the one with the newest commit first."""
    sets: dict[str, list[Commit]] = {}
    for commit in commits.select(tx, "ORDER BY c.number DESC"):
        sets.setdefault(commit.id, []).insert(0, commit)
    return [found for found in sets.values() if not project or any(c.repo.project == project for c in found)]


def list_commits(
    tx: Transaction,
    repo: RepoName,
    *,
    to: CommitName | None = None,
    since: CommitName | None = None,
    origin: int | None = None,
    started_before: int | None = None,
    reverse: bool = False,
    number: int = 0,
) -> list[Commit]:
    """Commits of a repo (no name: of all), newest first; with `to` its line back to `since`, which is left out."""
    if any(end and end.repo != repo for end in (since, to)):
        raise PachdError(f"`from` and `to` commits need to be from repo {repo}")
    if repo.name:
        with during("ensure repo exists"):
            repos.get(tx, repo)
    first = commits.resolve(tx, since).number if since else None
    if to:
        if reverse:
            raise PachdError("cannot use 'Reverse' while also using 'From' or 'To'")
        found = commits.history(tx, commits.resolve(tx, to))
    elif first is not None:
        raise PachdError("cannot use `from` commit without `to` commit")
    elif repo.name:
        found = commits.select(tx, "WHERE c.repo=? ORDER BY c.number DESC", repos.get(tx, repo).number)
    else:
        found = commits.select(tx, "ORDER BY c.number DESC")
    if first is not None:
        found = list(takewhile(lambda commit: commit.number != first, found))
    found = [
        commit
        for commit in found
        if origin in (None, commit.origin) and (started_before is None or commit.started <= started_before)
    ]
    if reverse:
        found.reverse()
    return found[:number] if number > 0 else found


def squash(tx: Transaction, doomed: Sequence[Commit]) -> None:
    """Remove commits and hand their changes to their children; a branch at one goes back to the parent.

    Raises PachdError where one has no child or an open one.
    """
    for commit in doomed:
        if not commits.relations(tx, commit).children:
            raise PachdError(
                "cannot squash a commit that has no children as that would cause data loss,"
                f" use the drop operation instead: {commit}"
            )
    for commit in _stopped(tx, doomed):
        for child in commits.relations(tx, commit).children:
            if child.finished is None:
                raise PachdError(f"cannot squash until child commit {child} is finished")
        trees.hand_down(tx, commit, _heirs(tx, commit))
        _remove(tx, commit)


def _heirs(tx: Transaction, commit: Commit) -> list[Commit]:
    """The commits that build on this one's files: its children, and as one with an error is passed over, theirs."""
    children = commits.relations(tx, commit).children
    return children + [heir for child in children if child.error for heir in _heirs(tx, child)]


def drop(tx: Transaction, doomed: Sequence[Commit]) -> None:
    """Remove commits and their changes; a branch goes back to the parent.  Raises PachdError where one has a child."""
    numbers = {commit.number for commit in doomed}
    for commit in doomed:
        if {child.number for child in commits.relations(tx, commit).children} - numbers:
            raise PachdError(f"cannot drop a commit that has children: {commit}")
    for commit in _stopped(tx, doomed):
        _remove(tx, commit)


def _stopped(tx: Transaction, doomed: Sequence[Commit]) -> list[Commit]:
    """The commits as they are once no job works on them any more, downstream first."""
    for commit in doomed:
        if commit.repo.type == SPEC and commit.origin is Origin.USER:
            raise PachdError(f"cannot squash commit {commit} because it updated a pipeline")
        for job in jobs.select(tx, "WHERE j.output=?", commit.number):
            jobs.stop(tx, job, "output commit removed")
    return [commits.get(tx, commit.number) for commit in reversed(doomed)]


def _remove(tx: Transaction, commit: Commit) -> None:
    headed = tx.execute("SELECT name FROM branches WHERE head=?", (commit.number,)).fetchall()
    if headed:
        repo = repos.get(tx, commit.repo)
        if commit.parent is None:
            first = branches.get(tx, commit.repo, headed[0]["name"])
            sources = branches.direct_provenance(tx, first)
            head = commits.get(tx, branches.advance(tx, repo, first.name, None, sources, new_commit_id()).head)
        else:
            head = commits.get(tx, commit.parent)
        for (name,) in headed:
            branches.set_head(tx, repo, name, head)
    tx.execute("UPDATE commits SET parent=? WHERE parent=?", (commit.parent, commit.number))
    tx.execute("DELETE FROM commits WHERE number=?", (commit.number,))


def whole_set(tx: Transaction, commit_set: str) -> list[Commit]:
    """The commits of a set that is to go; none where there is no such set.

    Raises PachdError where commits of other sets were computed from it.
    """
    found = commits.in_set(tx, commit_set)
    later = {c.id for commit in found for c in commits.relations(tx, commit).subvenance} - {commit_set}
    if later:
        names = " ".join(f'id:"{one}"' for one in sorted(later))
        words = f"cannot be dropped because it has subvenant commit sets: [{names}]"
        raise PachdError(f'commit set "id:\\"{commit_set}\\"" {words}')
    return found


def with_subvenance(tx: Transaction, commit: Commit, verb: str, *, recursive: bool) -> list[Commit]:
    """A commit that is to go and, with `recursive`, all computed from it; upstream first."""
    found = {commit.number: commit}
    waiting = [commit]
    while waiting:
        for downstream in commits.relations(tx, waiting.pop()).subvenance:
            if downstream.number not in found:
                found[downstream.number] = downstream
                waiting.append(downstream)
    if len(found) > 1 and not recursive:
        raise PachdError(f"cannot {verb} commit ({commit}) with subvenance without recursive")
    return [found[number] for number in sorted(found)]
