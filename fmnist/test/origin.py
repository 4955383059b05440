"""Whether the pipeline's git commit is the one that trained the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fmnist.checkout import git

SOURCE = "fmnist/model/src"


@dataclass(frozen=True)
class Origin:
    """The git commits of training and pipeline; None where unknown.

    `pipeline_from` names what the latter was taken from; `same_source` says whether the training code is the same in
    both, whatever else has changed.
    """

    trained: str | None
    trained_dirty: bool | None
    pipeline: str | None
    pipeline_from: str
    same_source: bool | None

    @property
    def same(self) -> bool:
        """Whether the pipeline runs at the very commit that trained the model, and nothing was uncommitted then."""
        return self.trained is not None and self.trained == self.pipeline and not self.trained_dirty

    def sentence(self) -> str:
        """What a person should know of it."""
        if self.trained is None:
            return "trained from an unknown git commit (an experiment created by hand records none)"
        trained = f"trained from git commit {self.trained[:12]}"
        if self.trained_dirty:
            trained += " with uncommitted changes"
        if self.pipeline is None:
            return f"{trained}; this pipeline's is unknown (no CI_COMMIT_SHA, no git checkout)"
        if self.trained == self.pipeline:
            return f"{trained}, the same as this pipeline's ({self.pipeline_from})"
        source = {True: "is the same there", False: "is another one there", None: "cannot be compared"}
        words = f"the training code {SOURCE} {source[self.same_source]}"
        return f"{trained}; this pipeline's is another one, {self.pipeline[:12]} ({self.pipeline_from}): {words}"


def of(provenance: Mapping[str, Any], pipeline_commit: str | None) -> Origin:
    """Compare a model's provenance with the pipeline's commit, else with the checkout's HEAD."""
    pipeline = pipeline_commit or git("rev-parse", "--verify", "HEAD")
    tree = git("rev-parse", "--verify", f"{pipeline}:{SOURCE}") if pipeline else None
    return Origin(
        trained=provenance["git"]["commit"],
        trained_dirty=provenance["git"]["dirty"],
        pipeline=pipeline,
        pipeline_from="CI_COMMIT_SHA" if pipeline_commit else "HEAD",
        same_source=None if tree is None else tree == provenance["source_tree"],
    )
