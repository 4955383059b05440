"""A few labelled images of the validated test split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data import ingest, validated
from data.errors import DataError
from deploy.release.errors import PredictError

SOURCE = "fmnist-test@master"


@dataclass(frozen=True)
class Samples:
    """Images uint8 [n, 28, 28], their labels uint8 [n], and their positions in the split."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    positions: npt.NDArray[np.int64]


NOTHING = Samples(np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.int64))


def read(source: str = SOURCE) -> Samples:
    """The whole split at `repo@branch-or-commit`.  Raises PredictError."""
    try:
        split = validated.read(ingest.connect(), source)
    except DataError as error:
        raise PredictError(str(error)) from error
    return Samples(split.images, split.labels, np.arange(len(split.labels)))


def choose(split: Samples, count: int) -> Samples:
    """The first image of each class in turn, then the second, until there are `count`: always the same ones."""
    rank = np.empty(len(split.labels), np.int64)
    for label in np.unique(split.labels):
        members = np.flatnonzero(split.labels == label)
        rank[members] = np.arange(len(members))
    chosen = np.lexsort((split.labels, rank))[:count]
    return Samples(split.images[chosen], split.labels[chosen], split.positions[chosen])
