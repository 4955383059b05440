"""Measures on a version's own training images what an outlier is, and puts that beside its model.

Training does not know of it, so that every registered version can have it, and what it writes stays as it is.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data import ingest, validated
from data.errors import DataError
from deploy.fashion_classifier.artifact import CHECKSUMS, OUTLIERS
from deploy.fashion_classifier.model import Classifier
from deploy.fashion_classifier.outliers import FEATURES, Detector, Statistics, features
from deploy.release.errors import RegistryError
from deploy.release.registry import Registered

KEPT_BACK = 6
"""Every so many-th image is not measured but decides the threshold: 10,000 of the published 60,000."""
SHARE = 0.01
"""Of the images that are kept back, this share lies beyond the threshold."""
FLOOR = 1.0
"""Added to the variance of every feature, so that pixels that are nearly always background do not decide alone."""

Bytes = npt.NDArray[np.uint8]


def add(registered: Registered) -> str:
    """Write the statistics into the version's folder, under its checksums; returns what was done, in words.

    Raises RegistryError where its training images cannot be read.
    """
    source = registered.artifact.metadata["provenance"]["data_train"]
    if not source.get("commit"):
        return "answers without an outlier tag: the model was not trained on a commit"
    reference = f"{source['repo']}@{source['commit']}"
    try:
        split = validated.read(ingest.connect(), reference)
    except DataError as error:
        raise RegistryError(f"the images that the version was trained on cannot be read: {error}") from error
    classes = len(registered.artifact.labels)
    statistics = fit(split.images, split.labels, classes, Classifier(registered.artifact.model))
    store(statistics, registered.artifact.directory)
    return f"outliers by {len(split.images)} images of {reference}"


def fit(images: Bytes, labels: Bytes, classes: int, model: Classifier) -> Statistics:
    """Statistics of images uint8 [n, 28, 28] with labels [n], by the classes that `model` gives those kept back."""
    back = np.arange(len(images)) % KEPT_BACK == 0
    measured = [_measured(images[~back & (labels == each)]) for each in range(classes)]
    means, factors = (np.stack(parts) for parts in zip(*measured, strict=True))
    statistics = Statistics(means.astype(np.float32), factors.astype(np.float16), np.ones((), np.float32))
    given = model.probabilities(images[back]).argmax(axis=1)
    distances = Detector(statistics).scores(images[back], given)
    # Images that are all alike have no distance.
    threshold = max(round(float(np.quantile(distances, 1 - SHARE)), 3), 1.0)
    return statistics._replace(threshold=np.array(threshold, np.float32))


def store(statistics: Statistics, directory: Path) -> None:
    """Write the file into a model folder and its line into SHA256SUMS."""
    file, sums = directory / OUTLIERS, directory / CHECKSUMS
    statistics.write(file)
    with sums.open("a") as stream:
        stream.write(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {OUTLIERS}\n")


def _measured(images: Bytes) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean [FEATURES] of a class, and a factor [FEATURES, FEATURES] of the inverse of its covariance."""
    if not len(images):
        return np.zeros(FEATURES), np.eye(FEATURES)
    values = features(images).reshape(-1, FEATURES).astype(np.float64)
    mean = values.mean(axis=0)
    covariance = (values - mean).T @ (values - mean) / len(values)
    return mean, np.linalg.inv(np.linalg.cholesky(covariance + FLOOR * np.eye(FEATURES))).T
