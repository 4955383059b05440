"""Finds, for every image of one split, the most alike images of another, without missing one and without comparing all.

The measure is the Pearson correlation of two images' pixels, told as a distance: the root mean square difference after
each image was brought to mean 0 and standard deviation 1, which is sqrt(2 - 2 r).  So neither brightness nor contrast
counts, only what is drawn.  An image of one grey value has nothing drawn: it correlates 1 with another such, else 0.

The search screens by an upper bound of r.  A normalised image is a unit vector; its coordinates on a few principal axes
and, as one more coordinate, the length of the rest, make a short unit vector, and by the Cauchy-Schwarz inequality the
product of two short ones is never below r.  One short matrix product so bounds every pair; only pairs whose bound
reaches the best correlation found for that image (or the threshold) are computed, in exact integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.files import Pixels

AXES = 256
"""Measured: fewer leave more pairs to compute than they save (64: 12 million, 256: 0.4 million of 600 million)."""
BLOCK = 250
"""Images screened at once: 60,000 bounds of 4 bytes each make blocks of 60 MB."""
SLACK = 1e-4
"""More than single precision can take from a bound: 258 products, each off by at most 2**-22, sum to 258 * 2**-22."""
SAMPLE = 8192
"""Images that the principal axes are taken from; any orthonormal axes give a true bound, good ones a tight bound."""


@dataclass(frozen=True)
class Neighbours:
    """For n images: position int64 [n] and distance float64 [n] of the nearest; pairs within the threshold, sorted.

    `pairs` is int64 [m, 2] (query, reference) with `pair_distances` float64 [m]; `compared` counts the pairs that the
    bound could not rule out.
    """

    nearest: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]
    pairs: npt.NDArray[np.int64]
    pair_distances: npt.NDArray[np.float64]
    compared: int


def neighbours(queries: Pixels, references: Pixels, threshold: float) -> Neighbours:
    """Nearest reference of every query, and all pairs at most `threshold` apart.

    Images are uint8 [n, height, width], n > 0 each; distances lie in [0, 2].  Of equally near references the first
    counts.  60,000 references and 10,000 queries take 6 s and 0.45 GB on two cores.
    """
    ours, theirs = _flat(queries), _flat(references)
    axes = _principal_axes(theirs)
    short_ours, short_theirs = _shortened(ours, axes), _shortened(theirs, axes)
    exact = _ExactCorrelation(ours, theirs)
    wanted = 1 - threshold**2 / 2
    nearest, best = np.zeros(len(ours), np.int64), np.full(len(ours), -np.inf)
    pairs: list[tuple[int, int]] = []
    pair_correlations: list[float] = []
    compared = 0
    for start in range(0, len(ours), BLOCK):
        bounds = short_ours[start : start + BLOCK] @ short_theirs.T
        guesses = bounds.argmax(axis=1)
        for row, query in enumerate(range(start, start + len(bounds))):
            least = min(exact(query, guesses[row : row + 1])[0], wanted) - SLACK
            candidates = np.flatnonzero(bounds[row] >= least)
            correlations = exact(query, candidates)
            compared += len(candidates)
            first = correlations.argmax()
            nearest[query], best[query] = candidates[first], correlations[first]
            close = np.flatnonzero(_distance(correlations) <= threshold)
            pairs += [(query, int(reference)) for reference in candidates[close]]
            pair_correlations += correlations[close].tolist()
    return Neighbours(
        nearest=nearest,
        distances=_distance(best),
        pairs=np.array(pairs, np.int64).reshape(-1, 2),
        pair_distances=_distance(np.array(pair_correlations)),
        compared=compared,
    )


class _ExactCorrelation:
    """Pearson correlations of uint8 images from their sums; every sum is a whole number that float64 holds exactly."""

    def __init__(self, queries: Pixels, references: Pixels) -> None:
        self._queries, self._references = queries, references
        self._pixels = queries.shape[1]
        self._query_sums, self._query_spreads = self._moments(queries)
        self._reference_sums, self._reference_spreads = self._moments(references)

    def __call__(self, query: int, references: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        correlations: npt.NDArray[np.float64]
        products = self._references[references].astype(np.float64) @ self._queries[query].astype(np.float64)
        covariances = self._pixels * products - self._query_sums[query] * self._reference_sums[references]
        spread, spreads = self._query_spreads[query], self._reference_spreads[references]
        if spread == 0:
            correlations = (spreads == 0).astype(np.float64)
        else:
            correlations = covariances / np.where(spreads == 0, np.inf, np.sqrt(spreads * spread))
        return correlations

    def _moments(self, images: Pixels) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        sums = images.sum(axis=1, dtype=np.int64)
        squares = np.concatenate([(part.astype(np.int64) ** 2).sum(axis=1) for part in _parts(images)])
        return sums.astype(np.float64), (self._pixels * squares - sums**2).astype(np.float64)


def _flat(images: Pixels) -> Pixels:
    return images.reshape(len(images), -1)


def _parts(images: Pixels) -> list[Pixels]:
    return [images[start : start + SAMPLE] for start in range(0, len(images), SAMPLE)]


def _normalised(images: Pixels) -> npt.NDArray[np.float64]:
    """Unit vectors with mean 0; zero for an image of one grey value."""
    centred = images - images.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    flat: npt.NDArray[np.float64] = centred / np.where(lengths == 0, np.inf, lengths)
    return flat


def _principal_axes(images: Pixels) -> npt.NDArray[np.float64]:
    """Orthonormal columns float64 [pixels, at most AXES] on which the images differ most."""
    sample = _normalised(images[:: math.ceil(len(images) / SAMPLE)])
    _, vectors = np.linalg.eigh(sample.T @ sample)
    axes: npt.NDArray[np.float64] = vectors[:, -AXES:]
    return axes


def _shortened(images: Pixels, axes: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Coordinates on the axes and the length of the rest, float32 [n, axes + 2]; the last marks images of one grey."""
    short = np.empty((len(images), axes.shape[1] + 2), np.float32)
    for start, part in zip(range(0, len(images), SAMPLE), _parts(images), strict=True):
        unit = _normalised(part)
        on_axes = unit @ axes
        lengths = np.einsum("ij,ij->i", unit, unit)
        rest = np.sqrt(np.maximum(lengths - np.einsum("ij,ij->i", on_axes, on_axes), 0))
        short[start : start + len(part)] = np.column_stack([on_axes, rest, lengths < 0.5])
    return short


def _distance(correlations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    distances: npt.NDArray[np.float64] = np.sqrt(np.maximum(2 - 2 * correlations, 0))
    return distances
