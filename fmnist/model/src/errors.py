"""The exception tree of the training code.

TrainingError
├── ConfigError          the experiment's configuration misses something or has an unusable value
├── InvalidIdx           a stream is not an IDX file of the expected kind
├── CommitRefused        a Pachyderm commit is missing, unfinished, failed, or lacks the expected files
└── ExportMismatch       the exported model does not answer as the trained one
"""

from __future__ import annotations


class TrainingError(Exception):
    """Something the user can act on: what failed, where, and what to do next."""


class ConfigError(TrainingError):
    """The experiment's configuration misses something or has an unusable value."""


class InvalidIdx(TrainingError):
    """A stream is not an IDX file of the expected kind."""


class CommitRefused(TrainingError):
    """A Pachyderm commit is missing, unfinished, failed, or lacks the expected files."""


class ExportMismatch(TrainingError):
    """The exported model does not answer as the trained one."""
