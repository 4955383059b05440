"""Splits for the tests of leakage and drift: generated ones, and the published one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data import sources
from data.catalog import CLASS_NAMES, Split
from pipelines import idx
from tests.conftest import npy

Bytes = npt.NDArray[np.uint8]


def published(split: Split) -> tuple[Bytes, Bytes]:
    """Images and labels as published.  Raises NoSource where no source has them: these tests never pass without."""
    _, files = sources.find(None, sources.cache_directory(), print)
    _, images = idx.read(split.images.name, files[split.images.name], dimensions=3)
    _, labels = idx.read(split.labels.name, files[split.labels.name], dimensions=1)
    assert images is not None
    assert labels is not None
    return images, labels


def generated(count: int, seed: int) -> tuple[Bytes, Bytes]:
    """Textured rectangles on an empty ground, uint8 [count, 28, 28]; each of ten classes has a size of its own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASS_NAMES), count).astype(np.uint8)
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        height, width = 8 + 2 * (label % 5), 8 + 6 * (label // 5)
        top, left = rng.integers(0, 4, 2) + np.array([(24 - height) // 2, (24 - width) // 2])
        cloth = rng.normal(rng.uniform(60, 200), 30, (height, width))
        image[top : top + height, left : left + width] = cloth.clip(1, 255)
    return images, labels


def put_split(folder: Path, images: Bytes, labels: Bytes, verdict: str = "passed") -> None:
    """Write a validated split."""
    folder.mkdir(parents=True)
    (folder / "images.npy").write_bytes(npy(images))
    (folder / "labels.npy").write_bytes(npy(labels))
    (folder / "report.json").write_text(json.dumps({"verdict": verdict, "class_names": CLASS_NAMES}))
