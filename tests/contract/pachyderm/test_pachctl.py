"""The genuine pachctl: every command on files, commits, branches, repos and projects works and prints what it should.

It is taken from PACHCTL or the PATH; a Pachyderm release has it, and `go build ./src/server/cmd/pachctl` makes it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pachyderm_sdk import Client

from localcluster.pachyderm.servicer.cluster import VERSION

PACHCTL = os.environ.get("PACHCTL") or shutil.which("pachctl")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PACHCTL is None, reason="no pachctl on the PATH: install Pachyderm's release, or set PACHCTL"),
]

Pachctl = Callable[..., str]
ID = re.compile(r"[\da-f]{12}4[\da-f]{19}")
COLOUR = re.compile(r"\x1b\[\d*m")
AGO = re.compile(r"(Less than a second|\d+ \w+|About a \w+) ago")


@pytest.fixture
def pachctl(client: Client, tmp_path: Path) -> Iterator[Pachctl]:
    """Runs pachctl in a project of the test's own; gives what it printed, ids and times replaced, blanks squeezed."""
    address = client.address if "://" in client.address else f"grpc://{client.address}"
    context = {"pachd_address": address, "session_token": client.auth_token or ""}
    project = f"ctl-{uuid.uuid4().hex[:8]}"
    config = {"v2": {"active_context": "test", "contexts": {"test": context}, "metrics": False}}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))

    def run(*words: str, given: str = "", fails: bool = False) -> str:
        assert PACHCTL
        done = subprocess.run(
            [PACHCTL, *words],
            input=given,
            env={**os.environ, "PACH_CONFIG": str(path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        text = AGO.sub("AGO", ID.sub("ID", COLOUR.sub("", done.stdout + done.stderr))).replace(project, "PROJECT")
        return "\n".join(" ".join(line.split()) for line in text.splitlines())

    run("create", "project", project, "--description", "for a test")
    run("config", "update", "context", "--project", project)
    yield run
    run("delete", "project", project, given="y\n")


@pytest.fixture
def data(pachctl: Pachctl, tmp_path: Path) -> Pachctl:
    """The same with a repo `data`, into whose branch master a directory was put."""
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "top.txt").write_text("top\n")
    (tmp_path / "tree" / "sub" / "leaf.txt").write_text("leaf\n")
    (tmp_path / "empty").touch()
    pachctl("create", "repo", "data", "-d", "raw data")
    pachctl("put", "file", "-r", "data@master:/", "-f", "tree")
    pachctl("wait", "commit", "data@master")
    return pachctl


def test_version(pachctl: Pachctl) -> None:
    assert f"pachd {VERSION[0]}.{VERSION[1]}." in pachctl("version")


def test_projects(pachctl: Pachctl) -> None:
    assert pachctl("inspect", "project", "PROJECT", fails=True)
    assert "* PROJECT AGO for a test" in pachctl("list", "project")


def test_repos(data: Pachctl) -> None:
    assert data("list", "repo").splitlines()[1:] == ["PROJECT data AGO ≤ 9B raw data"]
    assert "repo PROJECT/data already exists" in data("create", "repo", "data", fails=True)
    data("update", "repo", "data", "-d", "new words")
    assert data("inspect", "repo", "data").splitlines() == [
        "Name: data",
        "Description: new words",
        "Created: AGO",
        "Size of HEAD on master: 9B",
    ]
    assert "repo PROJECT/missing not found" in data("inspect", "repo", "missing", fails=True)
    data("delete", "repo", "data")
    assert data("list", "repo").splitlines()[1:] == []


def test_putting_and_reading_files(data: Pachctl, tmp_path: Path) -> None:
    data("put", "file", "data@master:/one", "-f", "tree/top.txt")
    data("put", "file", "data@master:/one", "-f", "tree/top.txt", "--append")
    data("put", "file", "data@master:/empty", "-f", "empty")
    data("put", "file", "data@master:/given", "-f", "-", given="from stdin")
    assert data("list", "file", "data@master").splitlines() == [
        "SIZE NAME",
        "0B /empty",
        "10B /given",
        "8B /one",
        "5B /sub/",
        "4B /top.txt",
    ]
    assert data("glob", "file", "data@master:/**.txt").splitlines()[1:] == ["5B /sub/leaf.txt", "4B /top.txt"]
    assert data("get", "file", "data@master:/one") == "top\ntop"
    assert data("inspect", "file", "data@master:/one").splitlines() == [
        "Path: /one",
        "Datum: default",
        "Type: file",
        "Size: 8B",
    ]
    data("get", "file", "-r", "data@master:/", "-o", "out")
    assert (tmp_path / "out" / "sub" / "leaf.txt").read_text() == "leaf\n"
    data("get", "file", "data@master:/one", "-o", "one")
    assert (tmp_path / "one").read_text() == "top\ntop\n"


def test_changing_files(data: Pachctl) -> None:
    for change in (
        ("copy", "file", "data@master:/top.txt", "data@master:/copied"),
        ("delete", "file", "data@master:/top.txt"),
        ("delete", "file", "-r", "data@master:/sub/"),
    ):
        data(*change)
        data("wait", "commit", "data@master")
    assert data("list", "file", "data@master").splitlines()[1:] == ["4B /copied"]
    difference = data("diff", "file", "data@master:/", "data@master^:/", "--name-only")
    assert difference.splitlines() == ["OP SIZE NAME", "+ 4B /", "- 9B /", "- 5B /sub/", "- 5B /sub/leaf.txt"]
    assert "D" in data("find", "commit", "data@master:/top.txt")
    assert data("find", "commit", "data@master:/top.txt").count("ID") == 3


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("get file data@master:/none", "file /none not found in repo PROJECT/data at commit"),
        ("get file data@master:/sub", "Try again with the -r flag"),
        ("inspect file data@master:/none", "file /none not found"),
        ("list file data@nobranch", 'branch "nobranch" not found in repo PROJECT/data'),
        ("list file missing@master", "repo PROJECT/missing not found"),
        ("put file missing@master:/a -f empty", "repo PROJECT/missing not found"),
        ("put file data@master:/bad* -f empty", "globbing character (*) not allowed in path"),
        ("inspect commit data@master^9", "invalid offset for ancestor of commit"),
        ("finish commit data@master", "has already finished"),
        ("delete branch data@nope", "not found"),
    ],
)
def test_refusals(data: Pachctl, words: str, answer: str) -> None:
    assert answer in data(*words.split(), fails=True)


def test_commits(data: Pachctl) -> None:
    data("start", "commit", "data@master", "-m", "an open one")
    assert "has not been finished" in data("start", "commit", "data@master", fails=True)
    data("put", "file", "data@master:/more", "-f", "tree/top.txt")
    assert "4B /more" in data("list", "file", "data@master")
    data("finish", "commit", "data@master", "-m", "closed")
    data("wait", "commit", "data@master")
    assert data("inspect", "commit", "data@master").splitlines() == [
        "Commit: data@ID",
        "Description: closed",
        "Parent: ID",
        "Started: AGO",
        "Finished: AGO",
        "Size: 13B",
    ]
    listed = data("list", "commit", "data@master").splitlines()
    assert listed[1:] == ["PROJECT data ID AGO 13B USER - closed", "PROJECT data ID AGO 9B USER -"]
    assert data("list", "commit", "data", "-n", "1").splitlines()[1:] == listed[1:2]
    assert len(data("list", "commit").splitlines()) == 3
    data("squash", "commitV2", "data@master^")
    data("delete", "commitV2", "data@master")
    assert data("list", "file", "data@master").splitlines() == ["SIZE NAME"]
    assert data("fsck") == "No errors found."


def test_branches(data: Pachctl) -> None:
    data("create", "branch", "data@dev", "--head", "master")
    data("create", "repo", "other")
    data("create", "branch", "other@out", "-p", "data@dev")
    assert [line.split()[0] for line in data("list", "branch", "data").splitlines()] == ["BRANCH", "dev", "master"]
    assert "Provenance: data@dev" in data("inspect", "branch", "other@out")
    assert "cannot be deleted because it's in the direct provenance of [PROJECT/other@out]" in data(
        "delete", "branch", "data@dev", fails=True
    )
    data("delete", "repo", "other")
    data("delete", "branch", "data@dev")
