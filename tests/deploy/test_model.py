"""The LiteRT runtime: right for every batch size and from many threads at once; refuses what it cannot serve."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.fashion_classifier.artifact import read_artifact
from deploy.fashion_classifier.errors import ModelError
from deploy.fashion_classifier.model import CHUNK, Classifier
from tests.deploy.tiny_model import LABELS, write_checksums

IMAGES = np.random.default_rng(5).integers(0, 256, (2 * CHUNK + 3, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def alone(classifier: Classifier) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Every image predicted by itself."""
    return np.concatenate([classifier.probabilities(image[np.newaxis]) for image in IMAGES])


@pytest.mark.parametrize("count", [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_a_batch_gives_what_its_images_give_alone(
    classifier: Classifier, alone: np.ndarray[Any, np.dtype[np.float32]], count: int
) -> None:
    probabilities = classifier.probabilities(IMAGES[:count])
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, alone[:count], atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_threads_never_mix_their_answers(classifier: Classifier, alone: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    def check(start: int) -> None:
        size = 1 + start % 5
        answer = classifier.probabilities(IMAGES[start : start + size])
        np.testing.assert_allclose(answer, alone[start : start + size], atol=1e-5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(check, [index % (len(IMAGES) - 5) for index in range(2000)]))


def test_another_signature_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Classifier(tmp_path / "model.tflite")


def test_an_artifact_knows_its_labels_and_provenance(serving: Path) -> None:
    artifact = read_artifact(serving)
    assert list(artifact.labels) == LABELS
    assert artifact.tags()["data_commit"] == "5c1e0bd6ac1f4e2f9a0f3c1de7e0a111"
    assert "model_version" not in artifact.tags()


def _edit(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        metadata = json.loads((folder / "metadata.json").read_text())
        change(metadata)
        (folder / "metadata.json").write_text(json.dumps(metadata))
        write_checksums(folder)

    return apply


def _labels(folder: Path) -> None:
    (folder / "labels.json").write_text(json.dumps(LABELS[:9]))
    write_checksums(folder)


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no sums": (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS cannot be read"),
    "no model": (lambda folder: (folder / "model.tflite").unlink(), "model.tflite cannot be read"),
    "a bit": (lambda folder: (folder / "model.tflite").write_bytes(b"x"), "has SHA-256"),
    "unlisted": (lambda folder: (folder / "SHA256SUMS").write_text(""), "does not list"),
    "outside": (
        lambda folder: (folder / "SHA256SUMS").open("a").write("0" * 64 + "  ../../etc/passwd\n"),
        "outside the folder",
    ),
    "format": (_edit(lambda metadata: metadata.update(format_version=2)), "format version 2"),
    "runtime": (_edit(lambda metadata: metadata["model"].update(runtime="onnx")), "another kind of model"),
    "provenance": (_edit(lambda metadata: metadata.pop("provenance")), "lacks 'provenance'"),
    "labels": (_labels, "10 class names"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_folder_is_refused_with_the_file_that_is_wrong(serving: Path, tmp_path: Path, name: str) -> None:
    damage, words = DAMAGE[name]
    folder = tmp_path / "serving"
    shutil.copytree(serving, folder)
    damage(folder)
    with pytest.raises(ModelError, match=words):
        read_artifact(folder)
