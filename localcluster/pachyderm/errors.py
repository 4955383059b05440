"""pachd's own errors: the code and the words that Pachyderm's clients look for.

PachdError (UNKNOWN, as upstream sends whatever has no code)
├── NotFound                what a call names is not there (said so for a repo and a commit set)
│   └── ProjectNotFound, BranchNotFound, CommitNotFound, FileNotFound
├── AlreadyExists           what a call would create is there
├── ProjectInUse            a project that is to go still has repos
├── BranchInUse             a branch that is to go is what others are computed from
├── ProvenanceCycle         a branch would be computed from itself
├── EndOfTransaction        two branches of one repo would be joined
├── CommitFinished          a write to, or a second finish of, a finished commit
├── NotFinished             what is asked for cannot be told of an open commit
├── InvalidArgument         a message lacks what the call needs
│   └── BadSpec             a pipeline's specification has an unknown field or a wrong type
├── Unimplemented           a part of an otherwise served call
├── Unauthenticated         the token is missing or wrong
└── DataLoss                a stored blob no longer has the bytes it was stored with
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar


class PachdError(Exception):
    """A call is refused; `code` is the name of a gRPC status code."""

    code: ClassVar[str] = "UNKNOWN"


@contextmanager
def during(what: str) -> Iterator[None]:
    """Put what was being done in front of the words of a PachdError of the block, as upstream wraps its errors."""
    try:
        yield
    except EndOfTransaction:
        raise
    except PachdError as error:
        error.args = (f"{what}: {error}",)
        raise


def defect(error: Exception) -> str:
    """What a user reads where pachd itself went wrong."""
    return f"a defect of pachd, {type(error).__name__}: {error}; its log has more (make logs SERVICE=pachyderm)"


class NotFound(PachdError):
    """Something named in the call does not exist."""

    code = "NOT_FOUND"


class ProjectNotFound(NotFound):
    """No project has this name."""

    def __init__(self, project: str) -> None:
        super().__init__(f'project "{project}" not found')


class BranchNotFound(NotFound):
    """The repo has no such branch."""

    def __init__(self, repo: object, branch: str) -> None:
        super().__init__(f'branch "{branch}" not found in repo {repo}')


class CommitNotFound(NotFound):
    """The repo has no such commit, nor one that belongs to the commit set."""

    def __init__(self, repo: object, commit: str) -> None:
        super().__init__(f"commit {repo}@{commit} not found")


class FileNotFound(NotFound):
    """The commit has no such file or directory."""

    def __init__(self, path: str, repo: object, commit: str) -> None:
        super().__init__(f"file {path} not found in repo {repo} at commit {commit}")


class AlreadyExists(PachdError):
    """Something to be created is there."""

    code = "ALREADY_EXISTS"


class ProjectInUse(PachdError):
    """A project that is to go still has repos."""

    code = "FAILED_PRECONDITION"

    def __init__(self, project: str, repos: Iterable[object]) -> None:
        still = "\n".join(f"repo {repo} still exists" for repo in repos)
        super().__init__(f"cannot delete project {project}: {still}")


class BranchInUse(PachdError):
    """A branch that is to go is what others are computed from."""

    def __init__(self, branch: object, downstream: str) -> None:
        super().__init__(
            f'branch "{branch}" cannot be deleted because it\'s in the direct provenance of [{downstream}]'
        )


class ProvenanceCycle(PachdError):
    """A branch would be computed from itself."""

    code = "INTERNAL"

    def __init__(self, upstream: object, branch: object) -> None:
        words = f"cycle detected because {upstream} is already in the subvenance of {branch}"
        super().__init__(f"create branch: update head: {words}")


class EndOfTransaction(PachdError):
    """What was done cannot stay; upstream finds that after everything, so it does not say during what."""


class CommitFinished(PachdError):
    """A write to, or a second finish of, a finished commit."""

    def __init__(self, commit: object) -> None:
        super().__init__(f"commit {commit} has already finished")


class NotFinished(PachdError):
    """What is asked for cannot be told of an open commit."""

    code = "UNAVAILABLE"

    def __init__(self, commit: object) -> None:
        super().__init__(f"commit {commit} not finished")


class InvalidArgument(PachdError):
    """A message lacks what the call needs."""

    code = "INVALID_ARGUMENT"


class BadSpec(InvalidArgument):
    """A pipeline's specification has an unknown field or a value of the wrong type."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"could not make effective spec: {detail}")


class Unimplemented(PachdError):
    """A part of an otherwise served call."""

    code = "UNIMPLEMENTED"


class Unauthenticated(PachdError):
    """The token is missing or wrong."""

    code = "UNAUTHENTICATED"


class DataLoss(PachdError):
    """A stored blob no longer has the bytes it was stored with."""

    code = "DATA_LOSS"
