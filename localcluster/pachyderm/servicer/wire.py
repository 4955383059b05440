"""Between betterproto messages and the state's own types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from betterproto import Message, encode_varint
from pachyderm_sdk.api import pfs

from localcluster.pachyderm.errors import PachdError
from localcluster.pachyderm.names import DEFAULT_PROJECT, USER, CommitName, RepoName
from localcluster.pachyderm.servicer.validation import given
from localcluster.pachyderm.state import branches, commits, trees
from localcluster.pachyderm.state.branches import Branch
from localcluster.pachyderm.state.commits import Commit, Origin
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.files import Node
from localcluster.pachyderm.state.repos import Project, Repo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_COMMIT = "pick commit tx: cannot pick nil commit"
"""What upstream says where it looks for a commit before it has asked whether there is one."""


def bytes_value(data: bytes) -> bytes:
    """A google.protobuf.BytesValue already encoded, with one copy of the data where betterproto makes three."""
    return _delimited(1, data) if data else b""


def _delimited(number: int, data: bytes) -> bytes:
    return b"".join((bytes([number << 3 | 2]), encode_varint(len(data)), data))


def _varint(number: int, value: int) -> bytes:
    return b"".join((bytes([number << 3]), encode_varint(value)))


def time(microseconds: int | None) -> datetime | None:
    """A stored time, or None for one that has not come."""
    return None if microseconds is None else EPOCH + timedelta(microseconds=microseconds)


def microseconds(moment: datetime) -> int | None:
    """A stored time from a message; None where the message has none."""
    return (moment - EPOCH) // timedelta(microseconds=1) or None


def _require(message: Message, field: str, words: str) -> None:
    if not given(message, field):
        raise PachdError(words)


def repo_name(request: Message) -> RepoName:
    """The name of a request's repo, with upstream's defaults.  Raises PachdError where it has none."""
    _require(request, "repo", "repo cannot be nil")
    return _repo_name(request.repo)


def _repo_name(repo: pfs.Repo) -> RepoName:
    return RepoName(repo.project.name or DEFAULT_PROJECT, repo.name, repo.type or USER)


def branch_name(request: Message) -> tuple[RepoName, str]:
    """The repo and the name of a request's branch.  Raises PachdError where one is missing."""
    _require(request, "branch", "branch cannot be nil")
    return branch_of(request.branch)


def branch_of(branch: pfs.Branch) -> tuple[RepoName, str]:
    """The repo and the name that a branch is given.  Raises PachdError where it has no repo."""
    _require(branch, "repo", "branch repo cannot be nil")
    return _repo_name(branch.repo), branch.name


def commit_name(request: Message, field: str = "commit", missing: str = "commit cannot be nil") -> CommitName:
    """What a message calls a commit, whose repo stands in it or in its branch.

    Raises PachdError where it stands in neither, with the words `missing` where there is no commit at all.
    """
    _require(request, field, missing)
    return commit_of(getattr(request, field))


def commit_of(commit: pfs.Commit) -> CommitName:
    """As `commit_name`, of the commit itself."""
    holder = commit if given(commit, "repo") else commit.branch
    _require(holder, "repo", "commit must have a repo")
    return CommitName(_repo_name(holder.repo), commit.id or "", commit.branch.name or "")


def optional_commit_name(request: Message, field: str) -> CommitName | None:
    """As `commit_name`, or None for an unset commit."""
    return commit_name(request, field) if given(request, field) else None


def file_commit_name(request: Message, field: str = "file") -> CommitName:
    """What a message calls the commit of a file.  Raises PachdError where file or commit are missing."""
    _require(request, field, "file cannot be nil")
    return commit_name(getattr(request, field))


def project_message(project: Project) -> pfs.ProjectInfo:
    """A project as listed."""
    return pfs.ProjectInfo(
        project=pfs.Project(name=project.name), description=project.description, created_at=time(project.created)
    )


def repo_message(name: RepoName) -> pfs.Repo:
    """A reference to a repo."""
    return pfs.Repo(name=name.name, type=name.type, project=pfs.Project(name=name.project))


def branch_message(branch: Branch) -> pfs.Branch:
    """A reference to a branch."""
    return pfs.Branch(repo=repo_message(branch.repo), name=branch.name)


def commit_message(commit: Commit) -> pfs.Commit:
    """A reference to a commit; upstream clears the branch in most of what it sends."""
    return pfs.Commit(repo=repo_message(commit.repo), id=commit.id)


def relative_message(commit: Commit) -> pfs.Commit:
    """A reference to a commit's child or provenance, in which upstream leaves the branch that it was made on."""
    message = commit_message(commit)
    message.branch = pfs.Branch(repo=message.repo, name=commit.branch)
    return message


def listed_repo_info(tx: Transaction, repo: Repo) -> pfs.RepoInfo:
    """A repo as ListRepo has it: with the bound of its size instead of its size."""
    info = repo_info(tx, repo)
    info.details = pfs.RepoInfoDetails()
    info.size_bytes_upper_bound = repo.size
    return info


def repo_info(tx: Transaction, repo: Repo) -> pfs.RepoInfo:
    """A repo as inspected."""
    return pfs.RepoInfo(
        repo=repo_message(repo.name),
        created=time(repo.created),
        description=repo.description,
        branches=[branch_message(branch) for branch in branches.list_branches(tx, repo.name)],
        details=pfs.RepoInfoDetails(size_bytes=repo.size),
    )


def branch_info(tx: Transaction, branch: Branch) -> pfs.BranchInfo:
    """A branch as listed."""
    return pfs.BranchInfo(
        branch=branch_message(branch),
        head=commit_message(commits.get(tx, branch.head)),
        provenance=[branch_message(b) for b in branches.provenance(tx, branch)],
        subvenance=[branch_message(b) for b in branches.subvenance(tx, branch)],
        direct_provenance=[branch_message(b) for b in branches.direct_provenance(tx, branch)],
        created_at=time(branch.created),
        updated_at=time(branch.updated),
    )


def listed_commit_info(tx: Transaction, commit: Commit) -> pfs.CommitInfo:
    """A commit as ListCommit has it: with the bound of its size."""
    info = commit_info(tx, commit)
    info.size_bytes_upper_bound = trees.bound(tx, commit)
    return info


def commit_info(tx: Transaction, commit: Commit) -> pfs.CommitInfo:
    """A commit as inspected."""
    relations = commits.relations(tx, commit)
    info = pfs.CommitInfo(
        commit=commit_message(commit),
        origin=pfs.CommitOrigin(kind=pfs.OriginKind(commit.origin)),
        description=commit.description,
        child_commits=[relative_message(child) for child in relations.children],
        started=time(commit.started),
        direct_provenance=[relative_message(upstream) for upstream in relations.provenance],
        direct_subvenance=[relative_message(downstream) for downstream in relations.subvenance],
        error=commit.error,
        created_at=time(commit.started),
        updated_at=time(commit.finished or commit.started),
        details=pfs.CommitInfoDetails(size_bytes=commit.size),
    )
    if relations.parent:
        info.parent_commit = commit_message(relations.parent)
    if commit.finished is not None:
        info.finishing = info.finished = time(commit.finished)
    return info


def file_infos(commit: Commit, nodes: Iterable[Node]) -> Iterator[bytes]:
    """FileInfo messages already encoded, which betterproto would take longer for; what all share only once."""
    in_commit = bytes(pfs.File(commit=commit_message(commit)))
    datum = bytes(pfs.File(datum="default")) if commit.origin is Origin.USER else b""
    committed = bytes(pfs.FileInfo(committed=time(commit.finished)))
    for node in nodes:
        kind = pfs.FileType.DIR if node.is_directory else pfs.FileType.FILE
        place = in_commit + _delimited(2, node.path.encode())
        file = _delimited(1, place if node.is_directory else place + datum)
        size = _varint(4, node.size) if node.size else b""
        yield file + _varint(2, kind) + committed + size + _delimited(5, node.hash)


def file_info(commit: Commit, node: Node) -> pfs.FileInfo:
    """One file or directory as listed."""
    return pfs.FileInfo.FromString(next(file_infos(commit, [node])))


def project_names(projects: Sequence[pfs.Project]) -> list[str]:
    """The names in a list of projects."""
    return [project.name or DEFAULT_PROJECT for project in projects]
