"""The exact words of the errors that users meet most, wrapping and all: scripts and search engines know them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from tests.contract.pachyderm.mistakes import UNKNOWN, Mistakes


@pytest.fixture(scope="module")
def mistakes(client: Client) -> Iterator[Mistakes]:
    """One project for all cases: none of them changes anything."""
    made = Mistakes(client)
    yield made
    made.pps.delete_pipeline(pipeline=made.pipeline("pipe"), force=True)
    for name in ("derived", "data", "in"):
        made.pfs.delete_repo(repo=made.repo(name), force=True)
    made.pfs.delete_project(project=made.project)


NO_COMMIT = "pick commit tx: commit PROJECT/data@UNKNOWN not found\ncommit PROJECT/data@UNKNOWN not found"
NO_BRANCH = 'pick commit tx: commit PROJECT/data@ not found\nbranch "no" not found in repo PROJECT/data'
NO_REPO = "pick commit tx: commit PROJECT/no@ not found\nrepo PROJECT/no not found"
NO_PIPELINE = (
    'pipeline was not inspected: couldn\'t find up to date spec for pipeline "PROJECT/no": pick commit tx: commit'
    ' PROJECT/no.spec@ not found\nrepo PROJECT/no.spec not found\npipeline "PROJECT/no" not found'
)
BAD_NAME = "name (a b) invalid: only alphanumeric characters, underscores, and dashes are allowed"
OPEN_PARENT = "start commit in transaction: create commit: parent commit PROJECT/data@OPEN has not been finished"
NO_PARENT = "start commit in transaction: create commit: parent commit not found: "
IN_USE = "cannot be deleted because it's in the direct provenance of [PROJECT/derived@master]"
OF_PIPELINE = "cannot delete a repo associated with a pipeline - delete the pipeline instead"
NO_PROJECT = 'get project by name: project "no" not found'
NO = pfs.Project(name="no")

Case = tuple[str, str, Callable[[Mistakes], Any]]

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
    "write: no repo": ("NOT_FOUND", "repo PROJECT/no not found", lambda m: m.write(m.head("no"))),
    "write: no commit": ("NOT_FOUND", NO_COMMIT, lambda m: m.write(m.at())),
    "write: a glob": (
        "UNKNOWN",
        "path (/a*) invalid: globbing character (*) not allowed in path",
        lambda m: m.write(m.head(), "/a*"),
    ),
    "file: missing": (
        "NOT_FOUND",
        "file /no not found in repo PROJECT/data at commit FIRST",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.at(m.first), path="/no"))],
    ),
    "file: glob without a match": (
        "NOT_FOUND",
        "file /*.no not found in repo PROJECT/data at commit FIRST",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.at(m.first), path="/*.no"))],
    ),
    "file: a directory": (
        "UNKNOWN",
        "cannot get directory or non-regular file. Use GetFileTAR instead",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.head(), path="/d"))],
    ),
    "file: no branch": (
        "NOT_FOUND",
        f"get file: {NO_BRANCH}",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.head(branch="no"), path="/a"))],
    ),
    "file: no repo": (
        "NOT_FOUND",
        f"get file: {NO_REPO}",
        lambda m: [*m.pfs.get_file(file=pfs.File(commit=m.head("no"), path="/a"))],
    ),
    "tar: no branch": (
        "NOT_FOUND",
        NO_BRANCH,
        lambda m: [*m.pfs.get_file_tar(file=pfs.File(commit=m.head(branch="no"), path="/a"))],
    ),
    "list: no branch": (
        "NOT_FOUND",
        NO_BRANCH,
        lambda m: [*m.pfs.list_file(file=pfs.File(commit=m.head(branch="no"), path="/"))],
    ),
    "glob: no branch": ("NOT_FOUND", NO_BRANCH, lambda m: [*m.pfs.glob_file(commit=m.head(branch="no"), pattern="/*")]),
    "glob: does not end": (
        "UNKNOWN",
        "unexpected end of input",
        lambda m: [*m.pfs.glob_file(commit=m.head(), pattern="/[a")],
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
    "pipeline: exists": ("ALREADY_EXISTS", 'pipeline "PROJECT/pipe" already exists', lambda m: m.create("pipe")),
    "pipeline: a repo's name": (
        "UNKNOWN",
        'pipeline "data" cannot be created because a repo with the same name already exists',
        lambda m: m.create("data"),
    ),
    "pipeline: no input repo": ("NOT_FOUND", "repo PROJECT/no not found", lambda m: m.create("new", "no")),
    "pipeline: bad name": ("UNKNOWN", f"invalid pipeline name: {BAD_NAME}", lambda m: m.create("a b")),
    "pipeline: missing": ("NOT_FOUND", NO_PIPELINE, lambda m: m.pps.inspect_pipeline(pipeline=m.pipeline())),
    "pipeline: nothing to list": (
        "NOT_FOUND",
        'could not list pipeline info: pipeline "PROJECT/no" not found',
        lambda m: [*m.pps.list_pipeline(pipeline=m.pipeline())],
    ),
    "pipeline: nothing to start": ("NOT_FOUND", NO_PIPELINE, lambda m: m.pps.start_pipeline(pipeline=m.pipeline())),
    "pipeline: nothing to stop": (
        "NOT_FOUND",
        NO_PIPELINE,
        lambda m: m.pps.stop_pipeline(pipeline=m.pipeline(), must_exist=True),
    ),
    "pipeline: nothing to delete": (
        "NOT_FOUND",
        f"error stopping pipeline PROJECT/no: {NO_PIPELINE}",
        lambda m: m.pps.delete_pipeline(pipeline=m.pipeline(), must_exist=True),
    ),
    "pipeline: nothing to rerun": (
        "NOT_FOUND",
        f'inspect pipeline "PROJECT/no": {NO_PIPELINE}',
        lambda m: m.pps.rerun_pipeline(pipeline=m.pipeline()),
    ),
    "job: missing": ("NOT_FOUND", "jobs PROJECT/pipe@UNKNOWN not found", lambda m: m.pps.inspect_job(job=m.job())),
    "datum: no job": (
        "NOT_FOUND",
        "jobs PROJECT/pipe@UNKNOWN not found",
        lambda m: m.pps.restart_datum(job=m.job(), data_filters=["/a"]),
    ),
    "jobs: no pipeline": (
        "NOT_FOUND",
        'pipeline "PROJECT/no" not found',
        lambda m: [*m.pps.list_job(pipeline=m.pipeline())],
    ),
    "logs: no pipeline": (
        "NOT_FOUND",
        f"could not get pipeline information for PROJECT/no: {NO_PIPELINE}",
        lambda m: [*m.pps.get_logs(pipeline=m.pipeline())],
    ),
    "logs: no job": (
        "NOT_FOUND",
        'could not get job information for "UNKNOWN": jobs PROJECT/pipe@UNKNOWN not found',
        lambda m: [*m.pps.get_logs(job=m.job())],
    ),
}


@pytest.mark.parametrize(("code", "words", "call"), CASES.values(), ids=CASES)
def test_words(mistakes: Mistakes, code: str, words: str, call: Callable[[Mistakes], Any]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(mistakes)
    error: Any = caught.value
    named = {mistakes.project.name: "PROJECT", UNKNOWN: "UNKNOWN", mistakes.first: "FIRST", mistakes.open.id: "OPEN"}
    text = error.details()
    for actual, symbol in named.items():
        text = text.replace(actual, symbol)
    assert (error.code().name, text) == (code, words)
