"""Commits and commit sets: the exact words of errors, wrapping and all; scripts and search engines know them."""

from __future__ import annotations

import pytest
from pachyderm_sdk.api import pfs

from tests.contract.pachyderm.mistakes import BAD_NAME, NO_BRANCH, NO_COMMIT, NO_REPO, UNKNOWN, Case, Mistakes

OPEN_PARENT = "start commit in transaction: create commit: parent commit PROJECT/data@OPEN has not been finished"
NO_PARENT = "start commit in transaction: create commit: parent commit not found: "
NOWHERE = pfs.Repo(name="data", type="user", project=pfs.Project(name="no"))

CASES: dict[str, Case] = {
    "start: no repo": (
        "NOT_FOUND",
        "start commit in transaction: repo PROJECT/no not found",
        lambda m: m.pfs.start_commit(branch=m.branch("no")),
    ),
    "start: no branch": (
        "UNKNOWN",
        "start commit in transaction: branch must be specified",
        lambda m: m.pfs.start_commit(branch=pfs.Branch(repo=m.repo("data"))),
    ),
    "start: bad name": (
        "UNKNOWN",
        f"start commit in transaction: {BAD_NAME}",
        lambda m: m.pfs.start_commit(branch=m.branch("data", "a b")),
    ),
    "start: head is open": ("UNKNOWN", OPEN_PARENT, lambda m: m.pfs.start_commit(branch=m.branch("data", "open"))),
    "start: no parent": (
        "NOT_FOUND",
        NO_PARENT + NO_COMMIT,
        lambda m: m.pfs.start_commit(branch=m.branch("data", "b"), parent=m.at()),
    ),
    "start: no parent branch": (
        "NOT_FOUND",
        NO_PARENT + NO_BRANCH,
        lambda m: m.pfs.start_commit(branch=m.branch("data", "b"), parent=m.head(branch="no")),
    ),
    "finish: twice": (
        "UNKNOWN",
        "commit PROJECT/data@FIRST has already finished",
        lambda m: m.pfs.finish_commit(commit=m.at(m.first)),
    ),
    "finish: no commit": (
        "NOT_FOUND",
        f"finish commit in transaction: {NO_COMMIT}",
        lambda m: m.pfs.finish_commit(commit=m.at()),
    ),
    "finish: no branch": (
        "NOT_FOUND",
        f"finish commit in transaction: {NO_BRANCH}",
        lambda m: m.pfs.finish_commit(commit=m.head(branch="no")),
    ),
    "commit: missing": ("NOT_FOUND", NO_COMMIT, lambda m: m.pfs.inspect_commit(commit=m.at())),
    "commit: no branch": ("NOT_FOUND", NO_BRANCH, lambda m: m.pfs.inspect_commit(commit=m.head(branch="no"))),
    "commit: no repo": ("NOT_FOUND", NO_REPO, lambda m: m.pfs.inspect_commit(commit=m.head("no"))),
    "commit: no name": (
        "UNKNOWN",
        "pick commit tx: cannot pick commit with no ID or branch",
        lambda m: m.pfs.inspect_commit(commit=pfs.Commit(repo=m.repo("data"))),
    ),
    "commit: too far back": (
        "UNKNOWN",
        "pick commit tx: picking commit: invalid offset for ancestor of commit: PROJECT/data.user@FIRST,"
        " offset requested: 9, offset traversable: 0",
        lambda m: m.pfs.inspect_commit(commit=m.at("master^9")),
    ),
    "commit: farther back than a number can say": (
        "UNKNOWN",
        "pick commit tx: calculate offset PROJECT/data@master^99999999999999999999: invalid ancestor format",
        lambda m: m.pfs.inspect_commit(commit=m.at("master^99999999999999999999")),
    ),
    "commit: farther on than a number can say": (
        "UNKNOWN",
        "pick commit tx: calculate offset PROJECT/data@master.99999999999999999999: invalid descendants format",
        lambda m: m.pfs.inspect_commit(commit=m.at("master.99999999999999999999")),
    ),
    "commit: too far on": (
        "UNKNOWN",
        "pick commit tx: picking commit: invalid offset from branch root for head commit: PROJECT/data.user@FIRST,"
        " offset: 8, maximum depth: 1",
        lambda m: m.pfs.inspect_commit(commit=m.at("master.9")),
    ),
    "commits: no repo": (
        "NOT_FOUND",
        "ensure repo exists: repo PROJECT/no not found",
        lambda m: [*m.pfs.list_commit(repo=m.repo("no"))],
    ),
    "squash: no commit": ("NOT_FOUND", NO_COMMIT, lambda m: m.pfs.squash_commit(commit=m.at())),
    "drop: no commit": ("NOT_FOUND", NO_COMMIT, lambda m: m.pfs.drop_commit(commit=m.at())),
    "squash: nothing": ("UNKNOWN", "pick commit tx: cannot pick nil commit", lambda m: m.pfs.squash_commit()),
    "drop: nothing": ("UNKNOWN", "pick commit tx: cannot pick nil commit", lambda m: m.pfs.drop_commit()),
    "start: an id": (
        "UNKNOWN",
        "start commit in transaction: create commit: create commit: update head: branch name cannot be a UUID V4",
        lambda m: m.pfs.start_commit(branch=m.branch("data", UNKNOWN)),
    ),
    "start: no parent's repo": (
        "NOT_FOUND",
        f"{NO_PARENT}{NO_REPO}",
        lambda m: m.pfs.start_commit(branch=m.branch("data", "b"), parent=m.head("no")),
    ),
    "finish: none": ("UNKNOWN", "check new file commit: commit cannot be nil", lambda m: m.pfs.finish_commit()),
    "commit: none": ("UNKNOWN", "commit cannot be nil", lambda m: m.pfs.inspect_commit()),
    "commit: no project": (
        "NOT_FOUND",
        'pick commit tx: picking commit: picking repo: picking project: project "no" not found',
        lambda m: m.pfs.inspect_commit(commit=pfs.Commit(id=m.first, repo=NOWHERE)),
    ),
    "commit: no project of its branch": (
        "NOT_FOUND",
        'pick commit tx: picking commit: picking branch: picking repo: picking project: project "no" not found',
        lambda m: m.pfs.inspect_commit(commit=pfs.Commit(repo=NOWHERE, branch=pfs.Branch(repo=NOWHERE, name="b"))),
    ),
    "commit: another repo's": (
        "NOT_FOUND",
        "pick commit tx: commit PROJECT/in@FIRST not found\ncommit PROJECT/in@FIRST not found",
        lambda m: m.pfs.inspect_commit(commit=m.at(m.first, "in")),
    ),
    "commit: an id from the root": (
        "UNKNOWN",
        "pick commit tx: unmarshal branch picker PROJECT/data@FIRST: invalid branch picker: name refers to a commit,"
        " not a branch",
        lambda m: m.pfs.inspect_commit(commit=m.at(f"{m.first}.1")),
    ),
    "commits: none of the repo": (
        "UNKNOWN",
        "`from` and `to` commits need to be from repo PROJECT/in",
        lambda m: [*m.pfs.list_commit(repo=m.repo("in"), to=m.head())],
    ),
    "commits: no repo to subscribe to": (
        "NOT_FOUND",
        "get repo ID: repo (id=0, project=PROJECT, name=no, type=user) not found",
        lambda m: [*m.pfs.subscribe_commit(repo=m.repo("no"), branch="master")],
    ),
    "squash: other sets come after it": (
        "UNKNOWN",
        'commit set "id:\\"FIRST\\"" cannot be dropped because it has subvenant commit sets: [id:"ID"]',
        lambda m: m.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=m.first)),
    ),
    "drop: other sets come after it": (
        "UNKNOWN",
        'commit set "id:\\"FIRST\\"" cannot be dropped because it has subvenant commit sets: [id:"ID"]',
        lambda m: m.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=m.first)),
    ),
    "drop: no set": (
        "INVALID_ARGUMENT",
        "validate request: invalid DropCommitSetRequest.CommitSet: value is required",
        lambda m: m.pfs.drop_commit_set(),
    ),
    "squash: no set": ("UNKNOWN", "commitset cannot be nil", lambda m: m.pfs.squash_commit_set()),
    "commits: nothing to search": (
        "INVALID_ARGUMENT",
        "validate recv: invalid FindCommitsRequest.Start: value is required",
        lambda m: [*m.pfs.find_commits()],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_words(mistakes: Mistakes, case: Case) -> None:
    code, words, call = case
    assert mistakes.answer(call) == (code, words)
