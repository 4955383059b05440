"""What a split's validation recorded, read back for the model card; against a real pachd."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from data.catalog import TEST
from fmnist.test.splits import SplitFacts, facts

RECORDED: dict[str, Any] = {
    "verdict": "passed",
    "images": 10,
    "class_counts": [6, 4],
    "duplicates": {"images": 1},
    "source": {"repo": "raw", "commit": "c" * 32},
    "inputs": {file.name: {"sha256": file.sha256} for file in TEST.files},
}


@pytest.fixture
def repo(pachd: Client) -> Iterator[str]:
    pachd.pfs.create_repo(repo=pfs.Repo(name="facts"))
    yield "facts"
    pachd.pfs.delete_repo(repo=pfs.Repo(name="facts"), force=True)


def committed(pachd: Client, repo: str, report: object) -> str:
    with pachd.pfs.commit(branch=pfs.Branch.from_uri(f"{repo}@master")) as commit:
        pachd.pfs.put_file_from_bytes(commit=commit, path="/report.json", data=json.dumps(report).encode())
    return str(commit.id)


def test_everything_that_is_recorded_is_read(pachd: Client, repo: str) -> None:
    commit = committed(pachd, repo, RECORDED)
    expected = SplitFacts(f"facts@{commit}", 10, (6, 4), 1, f"raw@{'c' * 32}", published=True)
    assert facts(pachd, repo, commit) == expected
    other = {**RECORDED, "inputs": {"images": {"sha256": "0" * 64}}}
    assert not facts(pachd, repo, committed(pachd, repo, other)).published


def test_what_is_not_recorded_is_unknown(pachd: Client, repo: str) -> None:
    commit = committed(pachd, repo, {"verdict": "passed"})
    assert facts(pachd, repo, commit) == SplitFacts(f"facts@{commit}")


def test_what_cannot_be_read_has_its_reason_in_one_line(pachd: Client) -> None:
    for repo, commit in (("nowhere", "d" * 32), (None, None)):
        found = facts(pachd, repo, commit)
        assert found.images is None
        assert found.reason
        assert "\n" not in found.reason
