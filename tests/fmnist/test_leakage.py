"""The index of near-duplicates counts for the commits it was computed from, and for no others; against a real pachd."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from fmnist.test.evaluation import Evaluation
from fmnist.test.leakage import REPO, Leakage, find
from fmnist.test.report import without_near_duplicates
from pipelines import near_duplicates

INDEX = json.dumps(
    near_duplicates.document(
        {"train": {"commit": None}, "test": {"commit": None}},
        0.1,
        [
            {"test": 7, "train": 1, "distance": 0.05, "same_label": True},
            {"test": 3, "train": 2, "distance": 0.1, "same_label": True},
        ],
        {"train": [0], "distance": [0.05]},
    )
).encode()


@pytest.fixture
def computed(pachd: Client) -> Iterator[tuple[pfs.Commit, pfs.Commit, pfs.Commit]]:
    """A commit of each split, and the open commit that is computed from both."""
    sources = []
    for name in ("leak-train", "leak-test"):
        pachd.pfs.create_repo(repo=pfs.Repo(name=name))
        with pachd.pfs.commit(branch=pfs.Branch.from_uri(f"{name}@master")) as commit:
            pachd.pfs.put_file_from_bytes(commit=commit, path="/x", data=b"x")
        sources.append(commit)
    pachd.pfs.create_repo(repo=pfs.Repo(name=REPO))
    output = pfs.Branch.from_uri(f"{REPO}@master")
    pachd.pfs.create_branch(
        branch=output, provenance=[pfs.Branch.from_uri(f"{commit.repo.name}@master") for commit in sources]
    )
    yield sources[0], sources[1], pachd.pfs.inspect_branch(branch=output).head
    for name in (REPO, "leak-train", "leak-test"):
        pachd.pfs.delete_repo(repo=pfs.Repo(name=name), force=True)


def trained_on(commit: pfs.Commit) -> dict[str, str | None]:
    return {"repo": commit.repo.name, "branch": "master", "commit": commit.id}


def test_the_index_of_the_same_commits_is_found(
    pachd: Client, computed: tuple[pfs.Commit, pfs.Commit, pfs.Commit]
) -> None:
    train, test, output = computed
    assert find(pachd, trained_on(train), test.id).reason == f"{REPO}@{output.id} is still being computed"
    pachd.pfs.put_file_from_bytes(commit=output, path=f"/{near_duplicates.NAME}", data=INDEX)
    pachd.pfs.finish_commit(commit=output)
    assert find(pachd, trained_on(train), test.id) == Leakage((3, 7), output.id)
    assert "no commit computed from" in find(pachd, trained_on(train), "0" * 32).reason
    branch = pachd.pfs.inspect_branch(branch=pfs.Branch.from_uri(f"{REPO}@master"))
    for provenance in (list[pfs.Branch](), branch.direct_provenance):
        pachd.pfs.create_branch(branch=branch.branch, provenance=provenance)
    again = pachd.pfs.inspect_branch(branch=branch.branch).head
    assert again.id != output.id
    assert find(pachd, trained_on(train), test.id) == Leakage((3, 7), output.id), "while it is computed again"
    pachd.pfs.finish_commit(commit=again, error="out of memory")
    assert find(pachd, trained_on(train), test.id) == Leakage((3, 7), output.id)


def test_a_failed_index_is_none(pachd: Client, computed: tuple[pfs.Commit, pfs.Commit, pfs.Commit]) -> None:
    train, test, output = computed
    pachd.pfs.finish_commit(commit=output, error="out of memory")
    assert "failed: out of memory" in find(pachd, trained_on(train), test.id).reason


def test_what_is_unknown_says_why(pachd: Client) -> None:
    assert find(pachd, {"repo": None, "commit": None}, "0" * 32).reason == "the model was not trained on a commit"
    assert "not found" in find(pachd, {"repo": "train", "commit": "1" * 32}, "0" * 32).reason


def test_the_accuracy_without_them() -> None:
    answers = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]
    evaluation = Evaluation(answers, np.array([0, 0, 0, 1], np.uint8), ("a", "b"))
    result = without_near_duplicates(evaluation, Leakage((0, 3), "c"))
    assert (result["left_out"], result["accuracy"]) == (2, 0.5)
    assert without_near_duplicates(evaluation, Leakage((0, 1, 2, 3), "c"))["known"] is False
    assert without_near_duplicates(evaluation, Leakage(None, reason="why"))["reason"] == "why"
