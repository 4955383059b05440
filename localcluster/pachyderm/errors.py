"""pachd's own errors: the code and the words that Pachyderm's clients look for.

PachdError (UNKNOWN, as upstream sends whatever has no code)
├── NotFound                what a call names is not there (said so for a repo and a commit set)
│   └── ProjectNotFound, BranchNotFound, CommitNotFound, FileNotFound
├── AlreadyExists           what a call would create is there
├── CommitFinished          a write to, or a second finish of, a finished commit
├── InvalidArgument         a message lacks what the call needs
├── BadSpec                 a pipeline's specification has an unknown field or a wrong type
├── Unimplemented           a part of an otherwise served call
├── Unauthenticated         the token is missing or wrong
└── DataLoss                a stored blob no longer has the bytes it was stored with
"""

from __future__ import annotations

from typing import ClassVar


class PachdError(Exception):
    """A call is refused; `code` is the name of a gRPC status code."""

    code: ClassVar[str] = "UNKNOWN"


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

    def __init__(self, repo: object, commit: str, *, parent: bool = False) -> None:
        super().__init__(f"{'parent ' if parent else ''}commit {repo}@{commit} not found")


class FileNotFound(NotFound):
    """The commit has no such file or directory."""

    def __init__(self, path: str, repo: object, commit: str) -> None:
        super().__init__(f"file {path} not found in repo {repo} at commit {commit}")


class AlreadyExists(PachdError):
    """Something to be created is there."""

    code = "ALREADY_EXISTS"


class CommitFinished(PachdError):
    """A write to, or a second finish of, a finished commit."""

    def __init__(self, commit: object) -> None:
        super().__init__(f"commit {commit} has already finished")


class InvalidArgument(PachdError):
    """A message lacks what the call needs."""

    code = "INVALID_ARGUMENT"

    def __init__(self, detail: str) -> None:
        super().__init__(f"validate request: {detail}")


class BadSpec(PachdError):
    """A pipeline's specification has an unknown field or a value of the wrong type."""

    code = "INVALID_ARGUMENT"

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
