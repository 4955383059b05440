"""Reads a validated split: the output of the pipelines fmnist-train and fmnist-test.

Reading a failed pipeline commit shows the files of its last good ancestor, and a pipeline without input has an empty
commit that succeeded; so a commit counts only if it is finished, without error, and holds a report that passed.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from data.errors import SplitRefused

IMAGES, LABELS, REPORT = "images.npy", "labels.npy", "report.json"

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ValidatedSplit:
    """Images uint8 [n, 28, 28] (0 is background) and labels uint8 [n] of one commit; n > 0."""

    images: Bytes
    labels: Bytes
    reference: str
    commit: str


def read(client: Client, reference: str) -> ValidatedSplit:
    """The split at `[project/]repo@branch-or-commit`, pinned to the commit it stands for now.

    Raises SplitRefused.
    """
    try:
        info = client.pfs.inspect_commit(commit=pfs.Commit.from_uri(reference))
        commit, repo = info.commit.id, reference.split("@", 1)[0]
        if not info.finished or info.finished.timestamp() == 0:
            raise SplitRefused(
                f"{reference}: the validation that makes commit {commit} has not ended; see: pachctl list job"
            )
        if info.error:
            raise SplitRefused(
                f"{reference}, commit {commit}, failed: {info.error}; see: pachctl inspect job {repo}@{commit}"
            )
        contents = {name: _content(client, f"{repo}@{commit}:/{name}") for name in (IMAGES, LABELS, REPORT)}
    except ConnectionError as error:
        raise SplitRefused(
            f"{reference}: Pachyderm at {client.address} does not answer; is it up (make status)?"
        ) from error
    except (grpc.RpcError, ValueError) as error:
        raise SplitRefused(f"{reference}: {_reason(error)}; run make data") from error
    if not _passed(contents[REPORT]):
        raise SplitRefused(f"{reference}, commit {commit}: its validation did not pass; run make data")
    try:
        return ValidatedSplit(*arrays(contents[IMAGES], contents[LABELS]), reference, commit)
    except SplitRefused as error:
        raise SplitRefused(f"{reference}, commit {commit}: {error}") from error


def report(client: Client, reference: str) -> dict[str, Any]:
    """What the validation wrote about the split at `repo@commit`.  Raises SplitRefused."""
    try:
        found: dict[str, Any] = json.loads(_content(client, f"{reference}:/{REPORT}"))
    except (ConnectionError, grpc.RpcError, ValueError) as error:
        raise SplitRefused(f"{reference}: {REPORT} cannot be read: {_reason(error)}") from error
    return found


def _passed(content: bytes) -> bool:
    """Whether this is a report whose verdict is "passed"."""
    try:
        return bool(json.loads(content)["verdict"] == "passed")
    except (ValueError, LookupError, TypeError):
        return False


def arrays(images: bytes, labels: bytes) -> tuple[Bytes, Bytes]:
    """Images and labels from the content of images.npy and labels.npy.  Raises SplitRefused."""
    pixels, answers = _array(images, IMAGES), _array(labels, LABELS)
    if pixels.ndim != 3 or pixels.shape[1:] != (28, 28) or answers.shape != (len(pixels),) or not len(pixels):
        raise SplitRefused(f"images of the shape {list(pixels.shape)} and labels of the shape {list(answers.shape)}")
    return pixels, answers


def _array(content: bytes, name: str) -> Bytes:
    try:
        array: Bytes = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise SplitRefused(f"{name} is not a whole array file ({error})") from error
    if array.dtype != np.uint8:
        raise SplitRefused(f"{name} holds {array.dtype}, not uint8")
    return array


def _content(client: Client, uri: str) -> bytes:
    with client.pfs.pfs_file(file=pfs.File.from_uri(uri)) as stream:
        content: bytes = stream.read()
    return content


def _reason(error: Exception) -> str:
    """The server's own words, around which the SDK raises a ValueError."""
    cause = error.__cause__ if isinstance(error.__cause__, grpc.RpcError) else error
    return str(cause.details()) if isinstance(cause, grpc.Call) else str(error)
