"""Short ways to say what most contract tests do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs


def put(client: Client, branch: pfs.Branch, contents: Mapping[str, bytes]) -> pfs.Commit:
    """Write files in one finished commit on a branch."""
    with client.pfs.commit(branch=branch) as commit:
        for path, data in contents.items():
            commit.put_file_from_bytes(path, data)
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
