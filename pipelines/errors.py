"""The exception tree of this package.

PipelineError
├── InputRefused     what lies in an input is not what the pipeline accepts; no output commit may become readable
├── Misconfigured    the spec's env, or the place the pipeline was started in, is wrong
└── DeployError      the specs could not be deployed, or a job of theirs failed
"""

from __future__ import annotations


class PipelineError(Exception):
    """Something the user can act on: what failed, where, and what to do next."""


class InputRefused(PipelineError):
    """What lies in an input is not what the pipeline accepts."""


class Misconfigured(PipelineError):
    """The spec's env, or the place the pipeline was started in, is wrong."""


class DeployError(PipelineError):
    """The specs could not be deployed, or a job of theirs failed."""
