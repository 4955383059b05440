"""Reads a batch of new images from the repo fmnist-incoming, where people and programs put what they have.

A batch is one entry at the top of the repo, and its name is the entry's:

- a folder with one file of images and, if the labels are known, one file of labels, told by `label` in its name;
- or a file of images without labels.

A file is a NumPy array (`.npy`, uint8) or a gzipped IDX file (`.gz`), the form in which the data set is published;
images are 28 x 28, labels index the reference's classes.  So `pachctl put file -r fmnist-incoming@master:/monday -f
folder` adds a batch, and a pipeline with the glob `/*` compares each batch once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines import checks, idx
from pipelines.errors import InputRefused
from pipelines.files import Labels, Pixels, read_npy
from pipelines.split import SIDE


@dataclass(frozen=True)
class Batch:
    """Images uint8 [n, 28, 28] with n > 0, and labels uint8 [n] if they are known."""

    name: str
    images: Pixels
    labels: Labels | None


def read(entry: Path, classes: int) -> Batch:
    """The batch in a folder or file.  Raises InputRefused, saying what is wrong with it and where."""
    files = sorted(entry.iterdir()) if entry.is_dir() else [entry]
    of_labels = [path for path in files if entry.is_dir() and "label" in path.name.lower()]
    of_images = [path for path in files if path not in of_labels]
    if len(of_images) != 1 or len(of_labels) > 1:
        raise InputRefused(
            f"batch {entry.name} holds {', '.join(path.name for path in files) or 'nothing'}; "
            "a batch is one file of images and at most one of labels, which has 'label' in its name"
        )
    images = _array(entry, of_images[0], dimensions=3)
    if images.shape[1:] != (SIDE, SIDE) or not len(images):
        raise _refusal(entry, of_images[0], f"its images have the shape {list(images.shape)}, not [n, 28, 28]")
    if not of_labels:
        return Batch(entry.name, images, None)
    labels = _array(entry, of_labels[0], dimensions=1)
    if len(labels) != len(images):
        raise _refusal(entry, of_labels[0], f"{len(labels)} labels for {len(images)} images")
    if labels.max() >= classes:
        at = f"label {labels.max()} at position {labels.argmax()}"
        raise _refusal(entry, of_labels[0], f"{at}; the reference has 0 to {classes - 1}")
    return Batch(entry.name, images, labels)


def _array(entry: Path, path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    if path.suffix == ".npy" and path.is_file():
        array = read_npy(path)
        if array.ndim != dimensions:
            raise _refusal(entry, path, f"{array.ndim} dimensions, not {dimensions}")
        return array
    if path.suffix == ".gz" and path.is_file():
        steps, read = idx.read(path.name, path.read_bytes(), dimensions)
        if read is None:
            raise InputRefused(f"batch {entry.name}: {'; '.join(step.reason for step in checks.failures(steps))}")
        return read
    raise _refusal(entry, path, "neither .npy nor .gz")


def _refusal(entry: Path, path: Path, reason: str) -> InputRefused:
    return InputRefused(f"batch {entry.name}: {path.name}: {reason}")
