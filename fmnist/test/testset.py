"""The test split, read from one pinned Pachyderm commit."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import grpc
import numpy as np
import numpy.typing as npt
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from data.catalog import TEST
from data.errors import InvalidIdx
from data.idx import read_images, read_labels
from fmnist.errors import PlatformUnreachable, TestDataError


@dataclass(frozen=True)
class TestSplit:
    """Images uint8 [n, 28, 28] and labels uint8 [n] of one commit."""

    __test__ = False  # pytest would take the name for a test class.

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    reference: str
    commit: str


def read(reference: str) -> TestSplit:
    """The split at `[project/]repo@branch-or-commit`, pinned to the commit it stands for now.

    Raises PlatformUnreachable or TestDataError.
    """
    path = os.environ.get("PACH_CONFIG")
    client = Client.from_config(path) if path else Client.from_config()
    try:
        info = client.pfs.inspect_commit(commit=pfs.Commit.from_uri(reference))
    except ConnectionError as error:
        raise PlatformUnreachable(f"Pachyderm at {client.address}: {error}; is it up (make status)?") from error
    except (grpc.RpcError, ValueError) as error:
        raise TestDataError(f"{reference}: {_reason(error)}; run make data") from error
    commit = info.commit.id
    if not info.finished or info.finished.timestamp() == 0:
        raise TestDataError(f"{reference} is the unfinished commit {commit}: finish it, then run the gate again")
    if info.error:
        raise TestDataError(f"{reference}, commit {commit}, failed: {info.error}")
    repo = reference.split("@", 1)[0]
    images = _read(client, f"{repo}@{commit}:/{TEST.images.name}", read_images)
    labels = _read(client, f"{repo}@{commit}:/{TEST.labels.name}", read_labels)
    if len(images) != len(labels) or not len(labels):
        raise TestDataError(f"{reference}, commit {commit}: {len(images)} images but {len(labels)} labels")
    return TestSplit(images, labels, reference, commit)


def _read(client: Client, uri: str, parse: Callable[[BinaryIO], npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    try:
        with client.pfs.pfs_file(file=pfs.File.from_uri(uri)) as stream:
            return parse(io.BytesIO(stream.read()))
    except (grpc.RpcError, ValueError, InvalidIdx) as error:
        raise TestDataError(f"{uri}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, grpc.RpcError) else error
    return str(cause.details()) if isinstance(cause, grpc.Call) else str(error)
