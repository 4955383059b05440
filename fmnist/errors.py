"""The exception tree of the client-side programs (training code stands alone and has a tree of its own).

FmnistError
├── PlatformUnreachable  Determined or Pachyderm does not answer, or refuses the login
├── RegistryError        the model registry lacks the model or the version
├── TrainingFailed       the experiment could not be created, or did not complete
└── ServingFormatError   a checkpoint's `serving/` folder is missing, corrupt or of another format
"""

from __future__ import annotations


class FmnistError(Exception):
    """Something the user can act on: what failed, where, and what to do next."""


class PlatformUnreachable(FmnistError):
    """Determined or Pachyderm does not answer, or refuses the login."""


class RegistryError(FmnistError):
    """The model registry lacks the model or the version."""


class TrainingFailed(FmnistError):
    """The experiment could not be created, or did not complete."""


class ServingFormatError(FmnistError):
    """A checkpoint's `serving/` folder is missing, corrupt or of another format."""
