"""The exception tree of the training code.

TrainingError
├── ConfigError          the experiment's configuration misses something or has an unusable value
├── InvalidSplit         a file does not hold the images or labels that it should
├── CommitRefused        a Pachyderm commit is missing, unfinished, failed, or not a validated split
└── ExportMismatch       the exported model does not answer as the trained one
"""

from __future__ import annotations


class TrainingError(Exception):
    """Something the user can act on: what failed, where, and what to do next."""


class ConfigError(TrainingError):
    """The experiment's configuration misses something or has an unusable value."""


class InvalidSplit(TrainingError):
    """A file does not hold the images or labels that it should."""


class CommitRefused(TrainingError):
    """A Pachyderm commit is missing, unfinished, failed, or not a validated split."""


class ExportMismatch(TrainingError):
    """The exported model does not answer as the trained one."""
