"""Calls on commits and commit sets."""

from __future__ import annotations

from collections.abc import Iterator

from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import pfs

from localcluster.pachyderm.errors import NotFinished, NotFound, PachdError, during
from localcluster.pachyderm.names import RepoName
from localcluster.pachyderm.servicer import wire
from localcluster.pachyderm.servicer.session import Session
from localcluster.pachyderm.servicer.validation import given
from localcluster.pachyderm.state import commit_sets, commits, history, repos, trees
from localcluster.pachyderm.state.commits import Commit, CommitState
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.repos import Repo


def start_commit(request: pfs.StartCommitRequest, session: Session) -> pfs.Commit:
    parent = wire.optional_commit_name(request, "parent")
    with session.write() as tx, during("start commit in transaction"):
        if not request.branch.name:
            raise PachdError("branch must be specified")
        commit = history.start(tx, *wire.branch_name(request), parent, request.description)
    return wire.commit_message(commit)


def finish_commit(request: pfs.FinishCommitRequest, session: Session) -> Empty:
    with during("check new file commit"):
        name = wire.commit_name(request)
    with session.write() as tx:
        with during("finish commit in transaction"):
            commit = commits.resolve(tx, name)
        history.finish(tx, commit, request.description, request.error)
    return Empty()


def clear_commit(request: pfs.ClearCommitRequest, session: Session) -> Empty:
    with session.write() as tx:
        history.clear(tx, commits.resolve(tx, wire.commit_name(request)))
    return Empty()


def inspect_commit(request: pfs.InspectCommitRequest, session: Session) -> pfs.CommitInfo:
    with session.read() as tx:
        commit = commits.resolve(tx, wire.commit_name(request))
    return _in_state(session, commit, request.wait) or pfs.CommitInfo()


def _in_state(session: Session, named: Commit, state: int) -> pfs.CommitInfo | None:
    """Wait until the commit is at least in `state`; None once the caller has gone.  Raises PachdError if it goes."""

    wanted = state if state in tuple(CommitState) else CommitState.STARTED

    def look(tx: Transaction) -> pfs.CommitInfo | None:
        commit = next(iter(commits.select(tx, "WHERE c.number=?", named.number)), None)
        if commit is None:
            raise PachdError(f"inspect finishing or finished commit: commit {named} was deleted")
        return wire.commit_info(tx, commit) if commits.relations(tx, commit).state >= wanted else None

    return session.wait(look)


def list_commit(request: pfs.ListCommitRequest, session: Session) -> Iterator[pfs.CommitInfo]:
    with session.read() as tx:
        found = commit_sets.list_commits(
            tx,
            wire.repo_name(request),
            to=wire.optional_commit_name(request, "to"),
            since=wire.optional_commit_name(request, "from_"),
            origin=request.origin_kind if request.origin_kind and not request.all else None,
            started_before=wire.microseconds(request.started_time),
            reverse=request.reverse,
            number=request.number,
        )
        infos = [wire.listed_commit_info(tx, commit) for commit in found]
    yield from infos


def find_commits(request: pfs.FindCommitsRequest, session: Session) -> Iterator[pfs.FindCommitsResponse]:
    """The commits of a line that changed one path, then the oldest one looked at."""
    with session.read() as tx:
        line = commits.history(tx, commits.resolve(tx, wire.commit_name(request, "start")))
        found = 0
        for searched, commit in enumerate(line):
            if commit.finished is None:
                raise NotFinished(commit)
            if trees.changed(tx, commit, request.file_path):
                found += 1
                yield pfs.FindCommitsResponse(found_commit=wire.commit_message(commit), commits_searched=searched)
            if found == request.limit != 0:
                break
    yield pfs.FindCommitsResponse(last_searched_commit=wire.commit_message(commit), commits_searched=searched + 1)


def _repo(tx: Transaction, name: RepoName, number: int | None = None) -> Repo:
    """The repo of this name, and with `number` only if it is still that one.  Raises NotFound."""
    repo = repos.find(tx, name)
    if repo is None or number not in (None, repo.number):
        raise NotFound(f"get repo ID: {name.row} not found")
    return repo


def subscribe_commit(request: pfs.SubscribeCommitRequest, session: Session) -> Iterator[pfs.CommitInfo]:
    with session.read() as tx:
        name = wire.repo_name(request)
        repo = _repo(tx, name)
        start = wire.optional_commit_name(request, "from_")
        if start and start.repo != repo.name:
            raise PachdError(f"the `from` commit needs to be from repo {repo.name}")
        last = commits.resolve(tx, start).number if start else 0
    state = request.state or CommitState.STARTED
    origin = request.origin_kind if not request.all else 0

    def look(tx: Transaction) -> list[pfs.CommitInfo]:
        nonlocal last
        found: list[pfs.CommitInfo] = []
        _repo(tx, name, repo.number)
        for commit in commits.select(tx, "WHERE c.repo=? AND c.number>? ORDER BY c.number", repo.number, last):
            if request.branch in ("", commit.branch) and origin in (0, commit.origin):
                if commits.relations(tx, commit).state < state:
                    break
                found.append(wire.commit_info(tx, commit))
            last = commit.number
        return found

    while found := session.wait(lambda tx: look(tx) or None):
        yield from found


def inspect_commit_set(request: pfs.InspectCommitSetRequest, session: Session) -> Iterator[pfs.CommitInfo]:
    with session.read() as tx:
        if not given(request, "commit_set"):
            raise PachdError("commitset cannot be nil")
        found = commit_sets.with_provenance(tx, commit_sets.get(tx, request.commit_set.id))
    for commit in found:
        info = _in_state(session, commit, CommitState.FINISHED if request.wait else CommitState.STARTED)
        if info is None:
            return
        yield info


def list_commit_set(request: pfs.ListCommitSetRequest, session: Session) -> Iterator[pfs.CommitSetInfo]:
    with session.read() as tx:
        infos = [
            pfs.CommitSetInfo(
                commit_set=pfs.CommitSet(id=found[0].id),
                commits=[wire.commit_info(tx, commit) for commit in commit_sets.with_provenance(tx, found)],
            )
            for found in commit_sets.list_sets(tx, request.project.name)
        ]
    yield from infos


def squash_commit_set(request: pfs.SquashCommitSetRequest, session: Session) -> Empty:
    with session.write() as tx:
        if not given(request, "commit_set"):
            raise PachdError("commitset cannot be nil")
        commit_sets.squash(tx, commit_sets.whole_set(tx, request.commit_set.id))
    return Empty()


def drop_commit_set(request: pfs.DropCommitSetRequest, session: Session) -> Empty:
    with session.write() as tx:
        commit_sets.drop(tx, commit_sets.whole_set(tx, request.commit_set.id))
    return Empty()


def squash_commit(request: pfs.SquashCommitRequest, session: Session) -> pfs.SquashCommitResponse:
    with session.write() as tx:
        commit = commits.resolve(tx, wire.commit_name(request, missing=wire.NO_COMMIT))
        commit_sets.squash(tx, commit_sets.with_subvenance(tx, commit, "squash", recursive=request.recursive))
    return pfs.SquashCommitResponse()


def drop_commit(request: pfs.DropCommitRequest, session: Session) -> pfs.DropCommitResponse:
    with session.write() as tx:
        commit = commits.resolve(tx, wire.commit_name(request, missing=wire.NO_COMMIT))
        commit_sets.drop(tx, commit_sets.with_subvenance(tx, commit, "drop", recursive=request.recursive))
    return pfs.DropCommitResponse()
