"""What a validation measures of a split: counts, pixels, duplicates, and whether labels belong to their images."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.files import Labels, Pixels

GRID = 7
"""Class means are compared at 7x7 points, each the mean of 4x4 pixels: enough to tell shapes, small enough to keep."""


@dataclass(frozen=True)
class PixelStatistics:
    """Of grey values 0 to 255 and, for `background`, the share that is 0."""

    mean: float
    std: float
    background: float


def levels(images: Pixels) -> npt.NDArray[np.int64]:
    """How many pixels have each grey value: int64 [256]."""
    counts = np.zeros(256, np.int64)
    for some in _pieces(images):
        counts += np.bincount(some.ravel(), minlength=256)
    return counts


def pixel_statistics(images: Pixels) -> PixelStatistics:
    """Over all pixels of uint8 [n, 28, 28], n > 0."""
    counts = levels(images)
    shares = counts / counts.sum()
    values = np.arange(256)
    mean = float(shares @ values)
    return PixelStatistics(mean, float(shares @ (values - mean) ** 2) ** 0.5, float(shares[0]))


def duplicates(images: Pixels) -> list[list[int]]:
    """Positions of images that are the same in every pixel, one list a group, in order of first appearance."""
    seen: defaultdict[bytes, list[int]] = defaultdict(list)
    for position, image in enumerate(images):
        seen[image.tobytes()].append(position)
    return [positions for positions in seen.values() if len(positions) > 1]


def blank(images: Pixels) -> npt.NDArray[np.intp]:
    """Positions of images with one grey value everywhere."""
    flat = images.reshape(len(images), -1)
    return np.flatnonzero(flat.min(axis=1) == flat.max(axis=1))


def agreement(images: Pixels, labels: Labels, classes: int) -> npt.NDArray[np.bool_]:
    """For each image, whether its class's mean image is the nearest of all, the image itself left out of its mean.

    Labels that belong to their images agree far more often than chance (1/classes); labels that are shifted against
    the images do not.  Leaving the image out keeps small splits honest; its distance to the mean without it is
    n/(n-1) times that to the mean with it, so no second pass is needed.
    """
    pixels = images.reshape(len(images), -1)
    counts = np.bincount(labels, minlength=classes)
    sums = np.stack([pixels[labels == label].sum(axis=0, dtype=np.int64) for label in range(classes)])
    means = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    farther = (counts / np.maximum(counts - 1, 1)) ** 2
    squares = np.einsum("ij,ij->i", means, means)
    nearest = []
    for some, own in zip(_pieces(pixels), _pieces(labels), strict=True):
        flat = some.astype(np.float32)
        distances = np.einsum("ij,ij->i", flat, flat)[:, None] - 2 * flat @ means.T + squares
        rows = np.arange(len(own))
        distances[:, counts == 0] = np.inf
        distances[rows, own] = np.where(counts[own] > 1, distances[rows, own] * farther[own], np.inf)
        nearest.append(distances.argmin(axis=1) == own)
    return np.concatenate(nearest)


def _pieces(array: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """The same in pieces, since wider types than bytes would take several times the memory of the whole split."""
    return np.array_split(array, max(1, len(array) // 2048))


def class_means(images: Pixels, labels: Labels, classes: int) -> npt.NDArray[np.float64]:
    """Mean image of every class at 7x7 points: float64 [classes, 49]; NaN for a class without an image."""
    cell = images.shape[1] // GRID
    points = images.reshape(len(images), GRID, cell, GRID, cell).mean(axis=(2, 4)).reshape(len(images), -1)
    rows = [
        points[labels == k].mean(axis=0) if (labels == k).any() else np.full(GRID**2, np.nan) for k in range(classes)
    ]
    return np.stack(rows)
