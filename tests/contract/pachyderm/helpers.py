"""Short ways to say what most contract tests do."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps


def put(client: Client, branch: pfs.Branch, contents: Mapping[str, bytes]) -> pfs.Commit:
    """Write files in one commit on a branch; return once it is finished."""
    with client.pfs.commit(branch=branch) as commit:
        for path, data in contents.items():
            commit.put_file_from_bytes(path, data)
    commit.wait()
    return commit


def file_at(commit: pfs.Commit, path: str) -> pfs.File:
    """A reference to a file."""
    return pfs.File(commit=commit, path=path)


def read(client: Client, uri: str) -> bytes:
    """A file's content, by `project/repo@reference:/path`."""
    content: bytes = client.pfs.pfs_file(pfs.File.from_uri(uri)).read()
    return content


def names(infos: Iterable[pfs.FileInfo]) -> list[str]:
    """The paths of file infos."""
    return [info.file.path for info in infos]


@contextmanager
def refused(code: grpc.StatusCode, words: str) -> Iterator[None]:
    """The block ends in a gRPC error with this code whose text contains these words."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    error: Any = caught.value
    assert error.code() is code, error.details()
    assert words in error.details()


class Pipelines:
    """The pipelines of a test, which go when it ends."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._made: list[pps.Pipeline] = []

    def name(self) -> pps.Pipeline:
        """A name of the test's own."""
        name = pps.Pipeline(project=pfs.Project(name="default"), name=f"contract-{uuid.uuid4().hex[:12]}")
        self._made.append(name)
        return name

    def create(self, source: pps.Input, *lines: str, **fields: Any) -> pps.Pipeline:
        """Make a pipeline whose transform has the shell do `lines` for each datum."""
        name = self.name()
        transform = pps.Transform(cmd=["sh"], stdin=list(lines))
        self._client.pps.create_pipeline(pipeline=name, input=source, transform=transform, **fields)
        return name

    def delete(self) -> None:
        """Remove them all, downstream first."""
        for pipeline in reversed(self._made):
            self._client.pps.delete_pipeline(pipeline=pipeline, force=True)


def files_of(repo: pfs.Repo, glob: str = "/*", name: str = "in") -> pps.Input:
    """The files of a repo's branch master as an input, below /pfs/in."""
    return pps.Input(pfs=pps.PfsInput(name=name, repo=repo.name, glob=glob))


def output_of(pipeline: pps.Pipeline) -> pfs.Repo:
    """A pipeline's output repo."""
    return pfs.Repo(name=pipeline.name, type="user", project=pipeline.project)


def ended(client: Client, pipeline: pps.Pipeline, job_id: str) -> pps.JobInfo:
    """A job once it has ended."""
    return client.pps.inspect_job(job=pps.Job(pipeline=pipeline, id=job_id), wait=True, details=True)
