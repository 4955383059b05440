"""The life of a commit: start, modify, finish."""

from __future__ import annotations

from collections.abc import Iterable

from localcluster.pachyderm.blobs import Blobs
from localcluster.pachyderm.errors import CommitFinished, PachdError, Unimplemented, during
from localcluster.pachyderm.names import CommitName, RepoName, check_name, is_commit_id, new_commit_id
from localcluster.pachyderm.state import branches, changes, commits, pipelines, repos, trees
from localcluster.pachyderm.state.branches import Branch
from localcluster.pachyderm.state.changes import Change
from localcluster.pachyderm.state.commits import Commit, Origin
from localcluster.pachyderm.state.database import Transaction


def start(
    tx: Transaction, repo_name: RepoName, branch_name: str, parent: CommitName | None = None, description: str = ""
) -> Commit:
    """Open a commit on a branch (made where it is missing), on the branch's head or on another commit of the repo.

    Raises NotFound (repo, parent), Unimplemented for a parent in another repo, and PachdError where the parent is open
    or the branch is computed.
    """
    repo = repos.get(tx, repo_name)
    check_name(branch_name)
    branch = branches.find(tx, repo, branch_name)
    with during("create commit"):
        base = _parent(tx, repo_name, branch, parent)
        if base and base.finished is None:
            raise PachdError(f"parent commit {base} has not been finished")
    if branch and branches.direct_provenance(tx, branch):
        raise PachdError(f"cannot start a commit on an output branch: {branch}")
    number = base.number if base else None
    commit = commits.insert(tx, repo, new_commit_id(), branch_name, number, Origin.USER, description)
    with during("create commit: create commit"):
        branch = branches.set_head(tx, repo, branch_name, commit)
    branches.propagate(tx, branch, commit.id)
    return commit


def _parent(tx: Transaction, repo: RepoName, branch: Branch | None, parent: CommitName | None) -> Commit | None:
    if parent is None:
        return commits.get(tx, branch.head) if branch else None
    with during("parent commit not found"):
        found = commits.resolve(tx, parent)
    if found.repo != repo:
        raise Unimplemented(
            f"pfs_v2.API/StartCommit: a parent in another repo, {found}, is not served by the local cluster's pachd;"
            " copy its files"
        )
    return found


def finish(tx: Transaction, commit: Commit, description: str = "", error: str = "") -> None:
    """Close a commit; files and directories that collide become its error.

    Raises CommitFinished, and PachdError for a pipeline's own commit, which ends with its job.
    """
    if commit.finished is not None:
        raise CommitFinished(commit)
    if commits.relations(tx, commit).provenance and pipelines.find(tx, commit.repo.project, commit.repo.name):
        raise PachdError("cannot finish a pipeline output or meta commit, use 'stop job' instead")
    trees.finish(tx, commit, description, error)


def clear(tx: Transaction, commit: Commit) -> None:
    """Undo all changes of an open commit."""
    if commit.finished is not None:
        raise PachdError("cannot clear finished commit")
    trees.clear(tx, commit)


def modify(tx: Transaction, blobs: Blobs, name: CommitName, asked: Iterable[Change]) -> None:
    """Apply changes to an open commit, or to a branch whose head is finished (or missing) in a commit of its own.

    Raises CommitFinished where `name` has the id of a finished commit.
    """
    commit = writable(tx, name)
    ready = changes.with_sources(tx, asked)
    if commit is None:
        commit = start(tx, name.repo, name.branch or name.id)
        changes.apply(tx, blobs, commit, ready)
        finish(tx, commit)
    else:
        changes.apply(tx, blobs, commit, ready)


def writable(tx: Transaction, name: CommitName) -> Commit | None:
    """The open commit that a write to `name` goes to; None where it needs a new commit.  Raises CommitFinished."""
    is_branch = bool(name.reference) and not is_commit_id(name.reference) and not {"^", "."} & set(name.reference)
    if is_branch and branches.find(tx, repos.get(tx, name.repo), name.reference) is None:
        return None
    commit = commits.resolve(tx, name)
    if commit.finished is None:
        return commit
    if is_branch:
        return None
    raise CommitFinished(commit)
