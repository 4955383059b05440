"""A test's own repos and pipelines, and what to ask of their jobs."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from tests.contract.pachyderm.helpers import put, read

DEADLINE = 120.0
"""Seconds that a wait may take."""


class Project:
    """Repos and pipelines of one test, under names of its own."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._suffix = uuid.uuid4().hex[:8]

    def named(self, name: str) -> str:
        """The full name of what the test calls `name`."""
        return f"{name}-{self._suffix}"

    def put(self, files: dict[str, bytes], repo: str = "in") -> pfs.Commit:
        """Write files in one commit, in a repo that is made where it is missing."""
        branch = pfs.Branch.from_uri(f"{self.named(repo)}@master")
        if not self.client.pfs.repo_exists(branch.repo):
            self.client.pfs.create_repo(repo=branch.repo)
        return put(self.client, branch, files)

    def create(self, name: str, cmd: list[str], *flags: str, **fields: Any) -> None:
        """Make a pipeline (with the flag "update" or "reprocess" a new version) of the files of the repo `in`."""
        document = {
            "pipeline": {"name": self.named(name)},
            "input": {"pfs": {"repo": self.named("in"), "name": "in", "glob": "/*"}},
            "transform": {"cmd": cmd} | fields.pop("transform", {}),
            **fields,
        }
        self.client.pps.create_pipeline_v2(
            create_pipeline_request_json=json.dumps(document), **dict.fromkeys(flags, True)
        )

    def jobs(self, name: str) -> list[pps.JobInfo]:
        """The pipeline's jobs, newest first."""
        pipeline = pps.Pipeline(name=self.named(name), project=pfs.Project(name="default"))
        return list(self.client.pps.list_job(pipeline=pipeline, details=True))

    def last(self, name: str) -> pps.JobInfo:
        """The pipeline's newest job, once it has ended."""
        job = self.jobs(name)[0].job
        return self.client.pps.inspect_job(job=job, wait=True, details=True)

    def output(self, name: str) -> dict[str, bytes]:
        """The files of the newest output commit."""
        uri = f"{self.named(name)}@master:/"
        infos = self.client.pfs.walk_file(file=pfs.File.from_uri(uri))
        return {
            i.file.path: read(self.client, uri[:-1] + i.file.path) for i in infos if i.file_type == pfs.FileType.FILE
        }

    def lines(self, job: pps.Job, **filters: Any) -> list[str]:
        """What user code wrote."""
        return [line.message for line in self.client.pps.get_logs(job=job, **filters) if line.user]


def counts(info: pps.JobInfo) -> tuple[int, int, int, int]:
    """Processed, skipped, failed and recovered datums."""
    return info.data_processed, info.data_skipped, info.data_failed, info.data_recovered


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; AssertionError naming `what` after the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.02)
