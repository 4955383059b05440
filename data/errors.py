"""The exception tree of this package.

DataError
├── ChecksumMismatch     a file is not the published one
├── SourceUnavailable    one place does not have the data set, or cannot be reached
├── NoSource             no place has it: the message lists what was tried
├── IngestError          Pachyderm did not take the files
└── SplitRefused         a commit is not a validated split
"""

from __future__ import annotations


class DataError(Exception):
    """Something the user can act on: what failed, where, and what to do next."""


class ChecksumMismatch(DataError):
    """A file is not the published one."""


class SourceUnavailable(DataError):
    """One place does not have the data set, or cannot be reached."""


class NoSource(DataError):
    """No place has the data set: the message lists what was tried."""


class IngestError(DataError):
    """Pachyderm did not take the files."""


class SplitRefused(DataError):
    """A commit is not a validated split."""
