"""What is unlike the training images scores above 1, what is like them below, whichever way they face."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from deploy.fashion_classifier.artifact import OUTLIERS, read_artifact
from deploy.fashion_classifier.errors import ModelError
from deploy.fashion_classifier.model import Classifier
from deploy.fashion_classifier.outliers import BLANK, Detector, Statistics
from deploy.release import outliers
from deploy.release.errors import RegistryError
from deploy.release.registry import Registered, verified

Bytes = npt.NDArray[np.uint8]


class Sides(Classifier):
    """Tells the classes of `clothes` by which half is brighter."""

    def __init__(self) -> None: ...

    def probabilities(self, images: Bytes) -> npt.NDArray[np.float32]:
        low, high = images[:, 14:].mean(axis=(1, 2)), images[:, :14].mean(axis=(1, 2))
        return np.array([high > low, low >= high], np.float32).T


def clothes(count: int, seed: int) -> tuple[Bytes, Bytes]:
    """Bars of varying grey, wider on their left, at the top (class 0) or at the bottom (class 1)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count).astype(np.uint8)
    images = np.zeros((count, 28, 28), np.float64)
    images[labels == 0, 4:12, 2:20] = images[labels == 1, 16:24, 2:20] = 1
    images *= rng.uniform(120, 240, (count, 1, 1))
    return np.clip(images + rng.normal(0, 6, images.shape), 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def statistics() -> Statistics:
    images, labels = clothes(1800, 1)
    return outliers.fit(images, labels, 2, Sides())


def test_training_images_are_told_from_others(statistics: Statistics) -> None:
    detector = Detector(statistics)
    images, labels = clothes(500, 2)
    classes = labels.astype(np.intp)
    inside = detector.scores(images, classes)
    assert (inside > 1).mean() < 0.05
    stranger: tuple[Any, ...] = (255 - images, images.transpose(0, 2, 1), np.roll(images, 9, axis=2))
    for strange in stranger:
        assert (detector.scores(strange, classes) > 1).mean() > 0.95
    assert (detector.scores(images, 1 - classes) > 1).all()
    np.testing.assert_array_equal(detector.scores(images[:, :, ::-1], classes), inside)
    np.testing.assert_array_equal(detector.scores(np.full((2, 28, 28), 7, np.uint8), classes[:2]), BLANK)


def test_an_image_scores_the_same_alone_and_among_others(statistics: Statistics) -> None:
    detector = Detector(statistics)
    images, labels = clothes(50, 4)
    classes = labels.astype(np.intp)
    alone = [detector.scores(images[at : at + 1], classes[at : at + 1])[0] for at in range(len(images))]
    np.testing.assert_allclose(detector.scores(images, classes), alone, atol=0.002)


def test_a_hundredth_of_the_images_kept_back_lies_beyond_the_threshold(statistics: Statistics) -> None:
    images, labels = clothes(1800, 1)
    kept = slice(None, None, outliers.KEPT_BACK)
    scores = Detector(statistics).scores(images[kept], labels[kept].astype(np.intp))
    assert (scores > 1).sum() == 3


def test_a_class_without_images_and_images_that_are_all_alike_are_measured(tmp_path: Path) -> None:
    images, labels = clothes(60, 5)
    outliers.fit(images, labels, 3, Sides()).write(tmp_path / "a")
    same = outliers.fit(images[:1].repeat(60, axis=0), labels[:1].repeat(60), 2, Sides())
    scores = Detector(same).scores(images[:1], labels[:1].astype(np.intp))
    assert scores[0] <= 1


def test_the_same_images_give_the_same_bytes(statistics: Statistics, tmp_path: Path) -> None:
    statistics.write(tmp_path / "one")
    outliers.fit(*clothes(1800, 1), 2, Sides()).write(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read = Statistics.read(tmp_path / "one")
    for name, expected in statistics._asdict().items():
        np.testing.assert_array_equal(getattr(read, name), expected)


def test_the_file_is_under_the_folders_checksums(serving: Path, statistics: Statistics, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(serving, tmp_path / "serving"))
    statistics.write(folder / OUTLIERS)
    with pytest.raises(ModelError, match=r"does not list outliers\.npz"):
        read_artifact(folder)
    outliers.store(statistics, folder)
    assert read_artifact(folder).outliers == folder / OUTLIERS
    (folder / OUTLIERS).write_bytes(b"x")
    with pytest.raises(ModelError, match=r"outliers\.npz has SHA-256"):
        read_artifact(folder)


def test_an_image_needs_the_data_that_its_version_was_trained_on(
    serving: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACH_CONFIG", str(tmp_path / "none.json"))
    with pytest.raises(RegistryError, match="trained on cannot be read"):
        outliers.add(Registered(3, "a" * 36, verified(serving)))
