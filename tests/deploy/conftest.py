"""A small model in the serving format, and the genuine microservice that serves it as it lies in the image."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from deploy.fashion_classifier.model import Classifier
from deploy.release import outliers
from deploy.release.image import image_files
from deploy.release.registry import Registered, verified
from tests.deploy import tiny_model
from tests.deploy.microservice import Microservice
from tests.deploy.tiny_model import LABELS

CHECKPOINT = "8d2c4f36-5b1e-4a0d-9f57-0c6a3be81d24"


def untrained(config: pytest.Config, seed: int) -> Path:
    """The folder `serving/` of a checkpoint; kept in pytest's cache, since TensorFlow takes seconds to build it."""
    recipe = hashlib.sha256(Path(tiny_model.__file__).read_bytes()).hexdigest()[:16]
    folder = config.cache.mkdir("tiny-model") / f"{recipe}-{seed}"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "SHA256SUMS").exists():
            command = [sys.executable, tiny_model.__file__, str(folder), str(seed)]
            subprocess.run(command, check=True, timeout=240, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def serving(pytestconfig: pytest.Config) -> Path:
    """The small model."""
    return untrained(pytestconfig, 11)


@pytest.fixture(scope="session")
def registered(serving: Path, classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Registered:
    """Version 3 of the model, for which everything but noise is an outlier."""
    folder = Path(shutil.copytree(serving, tmp_path_factory.mktemp("registered") / "serving"))
    images = np.random.default_rng(17).integers(0, 256, (1200, 28, 28), dtype=np.uint8)
    labels = classifier.probabilities(images).argmax(axis=1).astype(np.uint8)
    outliers.store(outliers.fit(images, labels, len(LABELS), classifier), folder)
    return Registered(3, CHECKPOINT, verified(folder))


@pytest.fixture(scope="session")
def classifier(serving: Path) -> Classifier:
    """The model itself: what the service's answers are compared with."""
    return Classifier(serving / "model.tflite")


@pytest.fixture
def registered_rootfs(registered: Registered, tmp_path: Path) -> Path:
    """The image's files, unpacked, for one test alone."""
    return unpack(registered, tmp_path)


@pytest.fixture(scope="session")
def microservice(registered: Registered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Microservice]:
    """Two workers with four threads each, running from the image's files."""
    running = Microservice(unpack(registered, tmp_path_factory.mktemp("rootfs")), workers=2, threads=4)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def unpack(registered: Registered, root: Path) -> Path:
    """Write the image's files below `root`."""
    for name, content in image_files(registered, "0" * 40).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root
