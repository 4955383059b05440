"""Calls on commits and commit sets."""

from __future__ import annotations

from collections.abc import Iterator

from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import pfs

from localcluster.pachyderm.errors import InvalidArgument, NotFinished, during
from localcluster.pachyderm.names import CommitName
from localcluster.pachyderm.servicer import wire
from localcluster.pachyderm.servicer.session import Session
from localcluster.pachyderm.state import commit_sets, commits, history, repos, trees
from localcluster.pachyderm.state.commits import CommitState, Origin
from localcluster.pachyderm.state.database import Transaction


def start_commit(request: pfs.StartCommitRequest, session: Session) -> pfs.Commit:
    parent = request.parent
    repo = request.branch.repo if request.branch.repo.name else parent.repo
    name = wire.repo_name(repo)
    base = CommitName(name, parent.id or "", parent.branch.name or "")
    with session.write() as tx, during("start commit in transaction"):
        commit = history.start(tx, name, request.branch.name, base, request.description)
    return wire.commit_message(commit)


def finish_commit(request: pfs.FinishCommitRequest, session: Session) -> Empty:
    with session.write() as tx:
        with during("finish commit in transaction"):
            commit = commits.resolve(tx, wire.commit_name(request.commit))
        history.finish(tx, commit, request.description, request.error)
    return Empty()


def clear_commit(request: pfs.ClearCommitRequest, session: Session) -> Empty:
    with session.write() as tx:
        history.clear(tx, commits.resolve(tx, wire.commit_name(request.commit)))
    return Empty()


def inspect_commit(request: pfs.InspectCommitRequest, session: Session) -> pfs.CommitInfo:
    with session.read() as tx:
        number = commits.resolve(tx, wire.commit_name(request.commit)).number
    return _in_state(session, number, request.wait) or pfs.CommitInfo()


def _in_state(session: Session, number: int, state: int) -> pfs.CommitInfo | None:
    """Wait until the commit is at least in `state`; None once the caller has gone."""

    def look(tx: Transaction) -> pfs.CommitInfo | None:
        commit = commits.get(tx, number)
        return wire.commit_info(tx, commit) if commits.relations(tx, commit).state >= state else None

    return session.wait(look)


def list_commit(request: pfs.ListCommitRequest, session: Session) -> Iterator[pfs.CommitInfo]:
    with session.read() as tx:
        found = commit_sets.list_commits(
            tx,
            wire.repo_name(request.repo) if request.repo.name else None,
            to=wire.optional_commit_name(request.to),
            since=wire.optional_commit_name(request.from_),
            origin=Origin(request.origin_kind) if request.origin_kind and not request.all else None,
            started_before=wire.microseconds(request.started_time),
            reverse=request.reverse,
            number=request.number,
        )
        infos = [wire.listed_commit_info(tx, commit) for commit in found]
    yield from infos


def find_commits(request: pfs.FindCommitsRequest, session: Session) -> Iterator[pfs.FindCommitsResponse]:
    """The commits of a line that changed one path, then the oldest one looked at."""
    with session.read() as tx:
        line = commits.history(tx, commits.resolve(tx, wire.commit_name(request.start)))
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


def subscribe_commit(request: pfs.SubscribeCommitRequest, session: Session) -> Iterator[pfs.CommitInfo]:
    with session.read() as tx:
        repo = repos.get(tx, wire.repo_name(request.repo))
        start = wire.optional_commit_name(request.from_)
        last = commits.resolve(tx, start).number if start else 0
    state = request.state or CommitState.STARTED
    origin = request.origin_kind if not request.all else 0

    def look(tx: Transaction) -> list[pfs.CommitInfo]:
        nonlocal last
        found: list[pfs.CommitInfo] = []
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
        found = commit_sets.with_provenance(tx, commit_sets.get(tx, request.commit_set.id))
    for commit in found:
        info = _in_state(session, commit.number, CommitState.FINISHED if request.wait else CommitState.STARTED)
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
        commit_sets.squash(tx, commit_sets.whole_set(tx, _set_id(request)))
    return Empty()


def drop_commit_set(request: pfs.DropCommitSetRequest, session: Session) -> Empty:
    with session.write() as tx:
        commit_sets.drop(tx, commit_sets.whole_set(tx, _set_id(request)))
    return Empty()


def _set_id(request: pfs.SquashCommitSetRequest | pfs.DropCommitSetRequest) -> str:
    if not request.commit_set.id:
        raise InvalidArgument("a commit set id is required")
    return str(request.commit_set.id)


def squash_commit(request: pfs.SquashCommitRequest, session: Session) -> pfs.SquashCommitResponse:
    with session.write() as tx:
        commit = commits.resolve(tx, wire.commit_name(request.commit))
        commit_sets.squash(tx, commit_sets.with_subvenance(tx, commit, "squash", recursive=request.recursive))
    return pfs.SquashCommitResponse()


def drop_commit(request: pfs.DropCommitRequest, session: Session) -> pfs.DropCommitResponse:
    with session.write() as tx:
        commit = commits.resolve(tx, wire.commit_name(request.commit))
        commit_sets.drop(tx, commit_sets.with_subvenance(tx, commit, "drop", recursive=request.recursive))
    return pfs.DropCommitResponse()
