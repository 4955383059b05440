"""A few labelled images of the test split, from the Pachyderm repo."""

from __future__ import annotations

import io
from dataclasses import dataclass

import grpc
import numpy as np
import numpy.typing as npt
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pachyderm_sdk.errors import ConfigError

from data.errors import InvalidIdx
from data.idx import read_images, read_labels
from deploy.release.errors import PredictError

SOURCE = "fmnist-test-raw@master"
_IMAGES, _LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


@dataclass(frozen=True)
class Samples:
    """Images uint8 [n, 28, 28], their labels uint8 [n], and their positions in the split."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    positions: npt.NDArray[np.int64]


def read(source: str = SOURCE) -> Samples:
    """The whole split at `repo@branch-or-commit`.  Raises PredictError."""
    try:
        client = Client.from_config()
        images, labels = (_content(client, f"{source}:/{name}") for name in (_IMAGES, _LABELS))
        split = Samples(read_images(images), read_labels(labels), np.empty(0, np.int64))
    except (OSError, ValueError, ConfigError, grpc.RpcError) as error:
        raise PredictError(_words(source, error)) from error
    except InvalidIdx as error:
        raise PredictError(f"{source} is damaged: {error}") from error
    if not 0 < len(split.images) == len(split.labels):
        raise PredictError(f"{source} has {len(split.images)} images and {len(split.labels)} labels; run make data")
    return Samples(split.images, split.labels, np.arange(len(split.images)))


def choose(split: Samples, count: int) -> Samples:
    """The first image of each class in turn, then the second, until there are `count`: always the same ones."""
    rank = np.empty(len(split.labels), np.int64)
    for label in np.unique(split.labels):
        members = np.flatnonzero(split.labels == label)
        rank[members] = np.arange(len(members))
    chosen = np.lexsort((split.labels, rank))[:count]
    return Samples(split.images[chosen], split.labels[chosen], split.positions[chosen])


def _content(client: Client, uri: str) -> io.BytesIO:
    with client.pfs.pfs_file(file=pfs.File.from_uri(uri)) as stream:
        return io.BytesIO(stream.read())


def _words(source: str, error: Exception) -> str:
    """The SDK raises a ValueError around the server's own refusal of a file."""
    refusal = error.__cause__ if isinstance(error.__cause__, grpc.RpcError) else error
    if isinstance(refusal, grpc.RpcError) and refusal.code() is not grpc.StatusCode.UNAVAILABLE:
        return f"{source} cannot be read: {refusal.details()}; run make data"
    return f"Pachyderm cannot be used: {error}; set PACH_CONFIG, or run make up"
