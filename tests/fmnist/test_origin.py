"""Whether the pipeline's commit trained the model: compared with this checkout's own history where there is one."""

from __future__ import annotations

from typing import Any

import pytest

from fmnist.checkout import git
from fmnist.test import origin

HEAD = git("rev-parse", "HEAD")
TREE = git("rev-parse", "HEAD:fmnist/model/src")
OTHER = "a" * 40

in_checkout = pytest.mark.skipif(HEAD is None, reason="not a git checkout")


def provenance(commit: str | None, dirty: bool | None = False, tree: str | None = None) -> dict[str, Any]:
    return {"git": {"commit": commit, "dirty": dirty}, "source_tree": tree or "b" * 40}


@in_checkout
def test_the_commit_of_the_checkout_is_the_pipelines() -> None:
    found = origin.of(provenance(HEAD, tree=TREE), None)
    assert (found.same, found.same_source) == (True, True)
    assert found.sentence().endswith("the same as this pipeline's (HEAD)")


@in_checkout
def test_another_commit_with_the_same_training_code_says_so() -> None:
    found = origin.of(provenance(OTHER, tree=TREE), HEAD)
    assert not found.same
    assert f"trained from git commit {OTHER[:12]}; this pipeline's is another one" in found.sentence()
    assert "(CI_COMMIT_SHA): the training code fmnist/model/src is the same there" in found.sentence()
    assert "is another one there" in origin.of(provenance(OTHER), HEAD).sentence()


def test_uncommitted_changes_are_not_the_same() -> None:
    found = origin.of(provenance(OTHER, dirty=True), OTHER)
    assert not found.same
    assert "with uncommitted changes, the same as this pipeline's" in found.sentence()


def test_a_commit_that_the_checkout_lacks_cannot_be_compared() -> None:
    found = origin.of(provenance(HEAD or OTHER), "c" * 40)
    assert found.same_source is None
    assert "cannot be compared" in found.sentence()


def test_an_unknown_commit_is_said() -> None:
    found = origin.of(provenance(None, None), OTHER)
    assert not found.same
    assert "trained from an unknown git commit" in found.sentence()


def test_without_git_the_pipelines_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "git", lambda *_: None)
    found = origin.of(provenance(OTHER), None)
    assert not found.same
    assert "this pipeline's is unknown" in found.sentence()
