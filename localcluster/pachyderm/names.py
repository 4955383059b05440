"""Names and paths: what pachd accepts, how it writes them, and how it reads `master^2`."""

from __future__ import annotations

import posixpath
import re
import uuid
from dataclasses import dataclass

from localcluster.pachyderm.errors import PachdError

DEFAULT_PROJECT = "default"
USER, SPEC, META = "user", "spec", "meta"
"""A repo's types: a user's (or a pipeline's output), and a pipeline's own two."""
LONGEST_PROJECT_NAME = 51

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_COMMIT_ID = re.compile(r"[\da-f]{12}4[\da-f]{19}")
_ANCESTRY = re.compile(r"(?P<base>[^\^.]+)(?:(?P<carets>\^+)(?P<back>[0-9]*)|\.(?P<forward>[0-9]+))?")
_VERSION = re.compile(r"([^^~.]*)([\^~.]?)(.*)", re.DOTALL)
_LONGEST_NUMBER = 18
"""Digits of what is sure to be a 64-bit integer."""
_PRINTABLE = re.compile(r"[ -~]+")
GLOBBING = frozenset("*?[]{}!()@+^")
"""What makes a path a glob, and may not be in a file's path."""


@dataclass(frozen=True, order=True)
class RepoName:
    """A repo's full name; `type` is "user", or "spec" and "meta" for a pipeline's own repos."""

    project: str
    name: str
    type: str = USER

    def __str__(self) -> str:
        suffix = "" if self.type == USER else f".{self.type}"
        return f"{self.project}/{self.name}{suffix}"

    @property
    def key(self) -> str:
        """The name with the type always in it, as some of upstream's errors have it."""
        return f"{self.project}/{self.name}.{self.type}"

    @property
    def row(self) -> str:
        """The name as the errors of upstream's database have it."""
        return f"repo (id=0, project={self.project}, name={self.name}, type={self.type})"


@dataclass(frozen=True)
class CommitName:
    """What a caller calls a commit: an id or a branch, or either with an ancestry suffix, in a repo."""

    repo: RepoName
    id: str = ""
    branch: str = ""

    @property
    def reference(self) -> str:
        """The id where there is one, else the branch."""
        return self.id or self.branch

    def __str__(self) -> str:
        return f"{self.repo}@{self.reference}"


@dataclass(frozen=True)
class Ancestry:
    """`base`, then `back` steps to older commits, or the `forward`-th commit from the branch's first (from 1)."""

    base: str
    back: int = 0
    forward: int | None = None


def new_commit_id() -> str:
    """A fresh id as upstream makes them (uuid4, hex, no dashes); clients tell ids from branches by this form."""
    return uuid.uuid4().hex


def is_commit_id(text: str) -> bool:
    """Whether `text` has the form of a commit id."""
    return _COMMIT_ID.fullmatch(text) is not None


def parse_ancestry(reference: str) -> Ancestry:
    """Read `master`, `master^`, `master^^`, `master^2` or `master.1`.  Raises PachdError on anything else."""
    match = _ANCESTRY.fullmatch(reference)
    if match is None:
        raise PachdError("count offset and clean: invalid ancestry format")
    for group, what in (("back", "ancestor"), ("forward", "descendants")):
        if len(match[group] or "") > _LONGEST_NUMBER:
            raise PachdError(f"invalid {what} format")
    if match["forward"]:
        return Ancestry(match["base"], forward=int(match["forward"]))
    back = len(match["carets"] or "")
    if match["back"]:
        back += int(match["back"]) - 1
    return Ancestry(match["base"], back)


def parse_version(name: str) -> Ancestry:
    """Read a pipeline's name, or `name^2` for an older version.  Raises PachdError on anything else."""
    base, sign, rest = _VERSION.fullmatch(name).groups()  # type: ignore[union-attr]
    number = rest.isascii() and rest.isdigit() and len(rest) <= _LONGEST_NUMBER
    if other := "" if number else rest.replace(sign, ""):
        raise PachdError(f'invalid ancestry syntax "{name}", cannot mix {sign} and {other[0]} characters')
    if sign == ".":
        raise PachdError("cannot inspect future pipelines")
    return Ancestry(base, int(rest) if number else len(sign + rest))


def check_name(name: str) -> None:
    """Raise PachdError unless `name` is fit for a project, a repo or a branch."""
    if not _NAME.fullmatch(name):
        raise PachdError(f"name ({name}) invalid: only alphanumeric characters, underscores, and dashes are allowed")


def clean_path(path: str) -> str:
    """The path as stored: a leading slash, no trailing one; "/" for the root."""
    return posixpath.normpath("/" + path.lstrip("/"))


def check_path(path: str) -> None:
    """Raise PachdError unless a file or a directory may have the path."""
    if not _PRINTABLE.fullmatch(path):
        raise PachdError(f"path ({path}) invalid: only printable ASCII characters allowed")
    if found := next((character for character in path if character in GLOBBING), ""):
        raise PachdError(f"path ({path}) invalid: globbing character ({found}) not allowed in path")
    if {".", ".."} & set(path.split("/")):
        raise PachdError(f"path ({path}) invalid: relative file paths are not allowed")


def check_file(path: str) -> None:
    """Raise PachdError unless a file may be put at `path`."""
    check_path(path)
    if clean_path(path) == "/":
        raise PachdError(f"path ({path}) invalid: a file needs a name")
