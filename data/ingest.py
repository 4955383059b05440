"""Puts the files of a split into its Pachyderm repo: one commit a split, and none where nothing changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pachyderm_sdk.errors import ConfigError

from data.catalog import Split
from data.errors import IngestError

BRANCH = "master"
CHUNK = 1 << 20
"""Bytes in one message; Pachyderm takes messages of up to 20 MiB."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Ingested:
    """What a split's branch holds afterwards; `created` tells whether this run made the commit."""

    repo: str
    commit: str
    size: int
    created: bool


def connect() -> Client:
    """The client of the configuration in `PACH_CONFIG`, else in `~/.pachyderm/config.json`; raises IngestError."""
    path = os.environ.get("PACH_CONFIG")
    try:
        # The SDK would take the variable as it was when it was imported.
        return Client.from_config(path) if path else Client.from_config()
    except (OSError, ValueError, TypeError, AttributeError, ConfigError) as error:
        # TypeError: a context with a field that the SDK does not know.  AttributeError: JSON, but no object.
        raise IngestError(
            f"no usable Pachyderm configuration ({error}); set PACH_CONFIG, locally by: "
            'eval "$(python -m localcluster env)"'
        ) from error


def ingest(client: Client, split: Split, files: dict[str, bytes], progress: Progress) -> Ingested:
    """Make the head of `split.repo@master` hold exactly these bytes.

    `progress` is called with the number of bytes that went out since the last call.  Raises IngestError, saying
    what to do, where Pachyderm cannot be reached or refuses.
    """
    contents = {file.name: files[file.name] for file in split.files}
    size = sum(map(len, contents.values()))
    branch = pfs.Branch(repo=pfs.Repo(name=split.repo), name=BRANCH)
    try:
        if not client.pfs.repo_exists(branch.repo):
            client.pfs.create_repo(repo=branch.repo, description="Fashion-MNIST: the files as published")
        _refuse_open_head(client, branch)
        created = not _holds(client, branch, contents)
        if created:
            client.pfs.modify_file(_modifications(branch, contents, progress))
        head = client.pfs.inspect_commit(
            commit=pfs.Commit(repo=branch.repo, branch=branch), wait=pfs.CommitState.FINISHED
        )
    except (grpc.RpcError, ConnectionError) as error:
        raise IngestError(f"{split.repo}@{BRANCH}: {_words(error)}") from error
    if head.error:
        raise IngestError(f"{split.repo}@{head.commit.id} finished with an error: {head.error}")
    return Ingested(split.repo, head.commit.id, size, created)


def _refuse_open_head(client: Client, branch: pfs.Branch) -> None:
    """Raise IngestError where somebody's commit is open: the files would go into it, and nothing would finish it."""
    if not client.pfs.branch_exists(branch):
        return
    head = client.pfs.inspect_commit(commit=pfs.Commit(repo=branch.repo, branch=branch))
    if not head.finishing or head.finishing.timestamp() == 0:
        open_ = f"{branch.repo.name}@{head.commit.id}"
        raise IngestError(
            f"{branch.repo.name}@{branch.name}: its head is open; finish it: pachctl finish commit {open_}"
        )


def _holds(client: Client, branch: pfs.Branch, contents: dict[str, bytes]) -> bool:
    """Compare by content: Pachyderm's own file hash depends on how a server cuts a file into chunks."""
    if not client.pfs.branch_exists(branch):
        return False
    for name, content in contents.items():
        file = pfs.File(commit=pfs.Commit(repo=branch.repo, branch=branch), path=f"/{name}")
        if not client.pfs.path_exists(file) or client.pfs.inspect_file(file=file).size_bytes != len(content):
            return False
        digest = hashlib.sha256()
        with client.pfs.pfs_file(file=file) as stream:
            while block := stream.read(CHUNK):
                digest.update(block)
        if digest.digest() != hashlib.sha256(content).digest():
            return False
    return True


def _modifications(
    branch: pfs.Branch, contents: dict[str, bytes], progress: Progress
) -> Iterator[pfs.ModifyFileRequest]:
    """One stream for all files: the server makes one commit of it, or none if the stream breaks."""
    yield pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))
    for name, content in contents.items():
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=f"/{name}"))
        for start in range(0, len(content), CHUNK):
            block = content[start : start + CHUNK]
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{name}", raw=block))
            progress(len(block))


def _words(error: grpc.RpcError | ConnectionError) -> str:
    if isinstance(error, ConnectionError) or error.code() is grpc.StatusCode.UNAVAILABLE:
        return "Pachyderm cannot be reached; start it (make up) or set PACH_CONFIG to your cluster's configuration"
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return "Pachyderm refuses the token in PACH_CONFIG; get a new one (locally: make up writes it)"
    return str(error.details())
