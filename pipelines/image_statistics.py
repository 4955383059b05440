"""Numbers that describe one image each, chosen so that whatever goes wrong on an image's way moves one of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.files import Pixels

NAMES = {
    "mean": "mean grey value",
    "std": "standard deviation of the grey values",
    "background": "share of pixels that are 0",
    "row": "centre of mass, row",
    "column": "centre of mass, column",
    "roughness": "mean difference of neighbouring pixels",
}
"""Brightness, contrast, noise and inversion, vertical and horizontal place or mirroring, noise and blur."""


def measure(images: Pixels) -> dict[str, npt.NDArray[np.float64]]:
    """Each statistic of uint8 [n, height, width] as float64 [n]; the centre of an image without ink is its middle."""
    pixels = images.astype(np.float64)
    flat = pixels.reshape(len(images), -1)
    height, width = images.shape[1:]
    ink = flat.sum(axis=1)
    steps = [np.abs(np.diff(pixels, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2)]
    return {
        "mean": flat.mean(axis=1),
        "std": flat.std(axis=1),
        "background": (flat == 0).mean(axis=1),
        "row": _centre(pixels.sum(axis=2) @ np.arange(height), ink, height),
        "column": _centre(pixels.sum(axis=1) @ np.arange(width), ink, width),
        "roughness": (steps[0] + steps[1]) / 2,
    }


def _centre(moments: npt.NDArray[np.float64], ink: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    centre: npt.NDArray[np.float64] = np.where(ink > 0, moments / np.maximum(ink, 1), (size - 1) / 2)
    return centre
