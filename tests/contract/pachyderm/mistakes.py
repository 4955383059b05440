"""A project in which much is missing, and short ways to ask for it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from tests.contract.pachyderm.helpers import put

UNKNOWN = "000000000000" + "4" + "0" * 19
"""The id of no commit and no job."""

ID = re.compile(r"[\da-f]{12}4[\da-f]{19}")
NO_COMMIT = "pick commit tx: commit PROJECT/data@UNKNOWN not found\ncommit PROJECT/data@UNKNOWN not found"
NO_BRANCH = 'pick commit tx: commit PROJECT/data@ not found\nbranch "no" not found in repo PROJECT/data'
NO_REPO = "pick commit tx: commit PROJECT/no@ not found\nrepo PROJECT/no not found"
BAD_NAME = "name (a b) invalid: only alphanumeric characters, underscores, and dashes are allowed"


class Mistakes:
    """A project in which something is missing: repos `data`, `derived` from it and `in`, and the pipeline `pipe`."""

    def __init__(self, client: Client) -> None:
        self.pfs, self.pps = client.pfs, client.pps
        self.project = pfs.Project(name=f"contract-{uuid.uuid4().hex[:12]}")
        self.pfs.create_project(project=self.project)
        for name in ("data", "derived", "in"):
            self.pfs.create_repo(repo=self.repo(name))
        self.first = put(client, self.branch("data"), {"/a": b"1", "/d/b": b"1"}).id
        self.pfs.create_branch(branch=self.branch("derived"), provenance=[self.branch("data")])
        self.open = self.pfs.start_commit(branch=self.branch("data", "open"))
        self.create("pipe")

    def repo(self, name: str) -> pfs.Repo:
        return pfs.Repo(name=name, type="user", project=self.project)

    def branch(self, repo: str, name: str = "master") -> pfs.Branch:
        return pfs.Branch(repo=self.repo(repo), name=name)

    def head(self, repo: str = "data", branch: str = "master") -> pfs.Commit:
        return pfs.Commit(repo=self.repo(repo), branch=self.branch(repo, branch))

    def at(self, commit_id: str = UNKNOWN, repo: str = "data") -> pfs.Commit:
        return pfs.Commit(repo=self.repo(repo), id=commit_id)

    def pipeline(self, name: str = "no") -> pps.Pipeline:
        return pps.Pipeline(name=name, project=self.project)

    def job(self, pipeline: str = "pipe") -> pps.Job:
        return pps.Job(pipeline=self.pipeline(pipeline), id=UNKNOWN)

    def create(self, pipeline: str, repo: str = "in") -> None:
        source = pps.Input(pfs=pps.PfsInput(repo=repo, project=self.project.name, glob="/*"))
        transform = pps.Transform(cmd=["true"])
        self.pps.create_pipeline(pipeline=self.pipeline(pipeline), input=source, transform=transform)

    def write(self, commit: pfs.Commit, path: str = "/new") -> None:
        add = pfs.AddFile(path=path, raw=b"1")
        self.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=commit), pfs.ModifyFileRequest(add_file=add)]))

    def modify(self, commit: pfs.Commit, **body: Any) -> None:
        self.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=commit), pfs.ModifyFileRequest(**body)]))

    def files(self, repo: str) -> dict[str, Any]:
        return {"pfs": {"repo": repo, "project": self.project.name, "glob": "/*"}}

    def spec(self, **fields: Any) -> None:
        pipeline = {"name": "new", "project": {"name": self.project.name}}
        document = {"pipeline": pipeline, "input": self.files("in"), "transform": {"cmd": ["true"]}, **fields}
        self.json(json.dumps(document))

    def json(self, text: str) -> None:
        self.pps.create_pipeline_v2(create_pipeline_request_json=text)

    def answer(self, call: Callable[[Mistakes], Any]) -> tuple[str, str]:
        """The code and the words with which a call is refused, names and ids replaced by what they stand for."""
        with pytest.raises(grpc.RpcError) as caught:
            call(self)
        error: Any = caught.value
        named = {self.project.name: "PROJECT", UNKNOWN: "UNKNOWN", self.first: "FIRST", self.open.id: "OPEN"}
        text = error.details().replace("\N{NO-BREAK SPACE}", " ")
        for actual, symbol in named.items():
            text = text.replace(actual, symbol)
        return error.code().name, ID.sub("ID", text)

    def delete(self) -> None:
        """Remove the project and what is in it."""
        self.pps.delete_pipeline(pipeline=self.pipeline("pipe"), force=True)
        for name in ("derived", "data", "in"):
            self.pfs.delete_repo(repo=self.repo(name), force=True)
        self.pfs.delete_project(project=self.project)


Case = tuple[str, str, Callable[[Mistakes], Any]]
"""A call, and the code and the words with which it is refused."""
