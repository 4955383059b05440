"""Tells images that are not like the training images of the class that the model gives them.

The distance is Mahalanobis' from the images of that class (as K. Lee et al., arXiv 1807.03888, take it in a network's
features), here in the roots of the grey values at half the resolution: the roots make thin and dark parts count.  Of an
image and its mirror image the nearer one counts, since the data set shows shoes from one side only.
benchmarks/outliers says what is found by it and what is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .pixels import SIDE, Images

HALF = SIDE // 2
FEATURES = HALF * HALF
BLANK = 10.0
"""The score of an image of one grey value: it shows nothing."""

Floats = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]
Classes = npt.NDArray[np.intp]


class Statistics(NamedTuple):
    """What `make image` has measured on the training images; its file holds these arrays by name."""

    means: Floats
    """[classes, FEATURES]."""
    factors: npt.NDArray[np.float16]
    """[classes, FEATURES, FEATURES]: times its transpose, the inverse of a class's covariance."""
    threshold: Floats
    """[]: the squared distance that a hundredth of the training images that were kept back exceed."""

    @classmethod
    def read(cls, file: Path) -> Statistics:
        """The statistics in a file that `write` has made."""
        with np.load(file) as arrays:
            return cls(**{name: arrays[name] for name in cls._fields})

    def write(self, file: Path) -> None:
        """Write the file; the same statistics give the same bytes."""
        with file.open("wb") as stream:
            np.savez(stream, **self._asdict())


class Detector:
    """Scores images by the statistics; holds nothing that threads could disturb.

    An image is the sum of an even and an odd part, and its mirror image the difference of the two: so both distances
    come from one product of each part, with half the factor's rows.
    """

    def __init__(self, statistics: Statistics) -> None:
        """Split the factors, at the precision of the arithmetic."""
        factors = statistics.factors.astype(np.float32)
        left, right = _halves(factors.reshape(-1, HALF, HALF, FEATURES))
        self._even, self._odd = (
            (part / 2).reshape(-1, FEATURES // 2, FEATURES) for part in (left + right, left - right)
        )
        self._centres = np.einsum("ki,kij->kj", statistics.means, factors)
        self._threshold = statistics.threshold

    def scores(self, images: Images, classes: Classes) -> Scores:
        """Squared distances [n] of images uint8 [n, 28, 28] from the classes [n], where 1 is the threshold."""
        left, right = _halves(features(images))
        even, odd = (part.reshape(len(images), -1) for part in (left + right, left - right))
        squared = np.empty(len(images))
        for each in set(classes.tolist()):
            mine = slice(None) if len(images) == 1 else np.flatnonzero(classes == each)
            away, aside = even[mine] @ self._even[each] - self._centres[each], odd[mine] @ self._odd[each]
            squared[mine] = np.minimum(_squares(away + aside), _squares(away - aside))
        scores: Scores = np.round(squared / self._threshold, 3)
        pixels = images.reshape(len(images), -1)
        # Black alone is not far from clothes that are mostly background.
        scores[pixels.min(axis=1) == pixels.max(axis=1)] = BLANK
        return scores


def _halves(rows: Floats) -> tuple[Floats, Floats]:
    """The columns [n, HALF, HALF // 2, ...] left of the middle, and those right of it as a mirror shows them."""
    return rows[:, :, : HALF // 2], rows[:, :, : HALF // 2 - 1 : -1]


def _squares(vectors: Floats) -> Floats:
    lengths: Floats = np.einsum("ij,ij->i", vectors, vectors)
    return lengths


def features(images: Images) -> Floats:
    """Roots of the mean grey value of each two by two pixels, float32 [n, HALF, HALF]."""
    rows = images[:, ::2].astype(np.uint16) + images[:, 1::2]
    sums: Floats = (rows[:, :, ::2] + rows[:, :, 1::2]).astype(np.float32)
    roots: Floats = np.sqrt(sums / 4)
    return roots


def tags(scores: Scores) -> dict[str, Any]:
    """What an answer says: `outlier` and `outlier_score` of one image, lists of them for several, in their order."""
    flags, values = (scores > 1).tolist(), scores.tolist()
    if len(values) == 1:
        flags, values = flags[0], values[0]
    return {"outlier": flags, "outlier_score": values}
