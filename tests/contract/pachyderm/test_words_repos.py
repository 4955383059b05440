"""Projects, repos and branches: the exact words of errors, wrapping and all; scripts and search engines know them."""

from __future__ import annotations

import pytest
from pachyderm_sdk.api import pfs

from tests.contract.pachyderm.mistakes import BAD_NAME, NO_COMMIT, UNKNOWN, Case, Mistakes

IN_USE = "cannot be deleted because it's in the direct provenance of [PROJECT/derived@master]"
OF_PIPELINE = "cannot delete a repo associated with a pipeline - delete the pipeline instead"
NO_PROJECT = 'get project by name: project "no" not found'
NO = pfs.Project(name="no")
NO_ROW = "repo (id=0, project=PROJECT, name=no, type=user) not found"

CASES: dict[str, Case] = {
    "repo: exists": (
        "ALREADY_EXISTS",
        "repo PROJECT/data already exists",
        lambda m: m.pfs.create_repo(repo=m.repo("data")),
    ),
    "repo: bad name": ("UNKNOWN", BAD_NAME, lambda m: m.pfs.create_repo(repo=m.repo("a b"))),
    "repo: no project": (
        "NOT_FOUND",
        f'cannot find project "no": {NO_PROJECT}',
        lambda m: m.pfs.create_repo(repo=pfs.Repo(name="r", type="user", project=NO)),
    ),
    "repo: a pipeline's without one": (
        "NOT_FOUND",
        f"cannot create a system repo without a corresponding 'user' repo: {NO_ROW}",
        lambda m: m.pfs.create_repo(repo=pfs.Repo(name="no", type="spec", project=m.project)),
    ),
    "repo: missing": ("NOT_FOUND", "repo PROJECT/no not found", lambda m: m.pfs.inspect_repo(repo=m.repo("no"))),
    "repo: in use": (
        "UNKNOWN",
        f'delete repo: delete branch PROJECT/data@master: branch "PROJECT/data@master" {IN_USE}',
        lambda m: m.pfs.delete_repo(repo=m.repo("data")),
    ),
    "repo: a pipeline's": (
        "UNKNOWN",
        f'delete repo: error checking whether repo "PROJECT/pipe" can be deleted: {OF_PIPELINE}',
        lambda m: m.pfs.delete_repo(repo=m.repo("pipe")),
    ),
    "branch: in use": (
        "UNKNOWN",
        f'branch "PROJECT/data@master" {IN_USE}',
        lambda m: m.pfs.delete_branch(branch=m.branch("data")),
    ),
    "branch: in a pipeline's use": (
        "UNKNOWN",
        'branch "PROJECT/in@master" cannot be deleted because it\'s in the direct provenance of'
        " [PROJECT/pipe@master PROJECT/pipe.meta@master]",
        lambda m: m.pfs.delete_branch(branch=m.branch("in")),
    ),
    "branch: bad name": ("UNKNOWN", BAD_NAME, lambda m: m.pfs.create_branch(branch=m.branch("data", "a b"))),
    "branch: an id": (
        "UNKNOWN",
        "create branch: update head: branch name cannot be a UUID V4",
        lambda m: m.pfs.create_branch(branch=m.branch("data", UNKNOWN)),
    ),
    "branch: no head": (
        "NOT_FOUND",
        f"unable to inspect PROJECT/data@UNKNOWN: {NO_COMMIT}",
        lambda m: m.pfs.create_branch(branch=m.branch("data", "b"), head=m.at()),
    ),
    "branch: cycle": (
        "INTERNAL",
        "create branch: update head: cycle detected because PROJECT/derived.user@master is already in the subvenance of"
        " PROJECT/data.user@master",
        lambda m: m.pfs.create_branch(branch=m.branch("data"), provenance=[m.branch("derived")]),
    ),
    "project: exists": (
        "ALREADY_EXISTS",
        'project "PROJECT" already exists\nproject PROJECT already exists',
        lambda m: m.pfs.create_project(project=m.project),
    ),
    "project: bad name": (
        "UNKNOWN",
        f"invalid project name: {BAD_NAME}",
        lambda m: m.pfs.create_project(project=pfs.Project(name="a b")),
    ),
    "project: long name": (
        "UNKNOWN",
        f'invalid project name: project name "{"a" * 60}" is 9 characters longer than the 51 max',
        lambda m: m.pfs.create_project(project=pfs.Project(name="a" * 60)),
    ),
    "project: missing": (
        "NOT_FOUND",
        f'error getting project "no": {NO_PROJECT}',
        lambda m: m.pfs.inspect_project(project=NO),
    ),
    "project: nothing to delete": (
        "NOT_FOUND",
        'delete project "no": project "no" not found',
        lambda m: m.pfs.delete_project(project=NO),
    ),
    "repo: empty name": ("NOT_FOUND", "repo PROJECT/ not found", lambda m: m.pfs.inspect_repo(repo=m.repo(""))),
    "branch: missing": (
        "NOT_FOUND",
        'inspect branch in transaction: branch (id=0, branch=PROJECT/data@no) not found\nbranch "no" not found in repo'
        " PROJECT/data",
        lambda m: m.pfs.inspect_branch(branch=m.branch("data", "no")),
    ),
    "branch: no repo to inspect": (
        "NOT_FOUND",
        f"inspect branch in transaction: {NO_ROW}\nbranch (id=0, branch=PROJECT/no@master) not found\n"
        'branch "master" not found in repo PROJECT/no',
        lambda m: m.pfs.inspect_branch(branch=m.branch("no")),
    ),
    "branch: no name": (
        "UNKNOWN",
        "branch cannot be nil",
        lambda m: m.pfs.inspect_branch(),
    ),
    "branch: nothing to delete": (
        "NOT_FOUND",
        'get branch "PROJECT/data.user@no": branch (id=0, branch=PROJECT/data@no) not found',
        lambda m: m.pfs.delete_branch(branch=m.branch("data", "no")),
    ),
    "branch: none named": (
        "INVALID_ARGUMENT",
        "validate request: invalid DeleteBranchRequest.Branch: value is required",
        lambda m: m.pfs.delete_branch(),
    ),
    "branch: no repo": (
        "NOT_FOUND",
        f"get commit by commit key: {NO_ROW}\ncommit (int_id=0, commit_id=PROJECT/no.user@ID) not found",
        lambda m: m.pfs.create_branch(branch=m.branch("no")),
    ),
    "branch: no repo in its provenance": (
        "NOT_FOUND",
        f"create empty commit: get commit by commit key: {NO_ROW}\ncommit (int_id=0, commit_id=PROJECT/no.user@ID) not"
        " found",
        lambda m: m.pfs.create_branch(branch=m.branch("in", "b"), provenance=[m.branch("no")]),
    ),
    "branch: bad name in its provenance": (
        "UNKNOWN",
        BAD_NAME,
        lambda m: m.pfs.create_branch(branch=m.branch("in", "b"), provenance=[m.branch("data", "a b")]),
    ),
    "branch: the head of another repo": (
        "UNKNOWN",
        "branch and head commit must belong to the same repo",
        lambda m: m.pfs.create_branch(branch=m.branch("in", "b"), head=m.at(m.first)),
    ),
    "branch: bad ancestry": (
        "UNKNOWN",
        "unable to inspect PROJECT/data@master^x: pick commit tx: calculate offset PROJECT/data@master^x: count offset"
        " and clean: invalid ancestry format",
        lambda m: m.pfs.create_branch(branch=m.branch("data", "b"), head=m.at("master^x")),
    ),
    "project: starts with a dash": (
        "UNKNOWN",
        "invalid project name: project names must start with an alphanumeric character",
        lambda m: m.pfs.create_project(project=pfs.Project(name="-a")),
    ),
    "project: none": ("UNKNOWN", "invalid project name: nil project", lambda m: m.pfs.create_project()),
    "project: none to inspect": (
        "INVALID_ARGUMENT",
        "validate request: invalid InspectProjectRequest.Project: value is required",
        lambda m: m.pfs.inspect_project(),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_words(mistakes: Mistakes, case: Case) -> None:
    code, words, call = case
    assert mistakes.answer(call) == (code, words)
