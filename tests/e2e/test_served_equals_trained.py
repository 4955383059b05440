"""What is served is what was trained: every test image, many connections at once, several workers and threads.

The defect that must never come back: a TensorFlow model that fails in the server's threads ("Tensor … is not an
element of this graph"), or answers with another request's result.
"""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import requests

from data.catalog import TEST
from data.sources import cache_directory
from fmnist.test import serving
from tests.e2e.conftest import Checkout, predictions_url

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("chain")]

CONNECTIONS = 64

KERAS = """
import json, sys
from pathlib import Path
import numpy as np
import export, network
checkpoint = Path(sys.argv[1])
metadata = json.loads((checkpoint / "metadata.json").read_text())
images = np.load(sys.argv[2])
settings = metadata["hyperparameters"]
model = network.build(settings["width"], settings["late_width"], settings["depth"], 10)
model.load_weights(str(checkpoint / "model_checkpoint")).expect_partial()
batches = [images[at : at + 500] for at in range(0, len(images), 500)]
parts = [np.asarray(network.logits(model, batch, settings["flip"])) for batch in batches]
np.save(sys.argv[3], export.probabilities(np.concatenate(parts), metadata["temperature"]))
"""


def published_images() -> npt.NDArray[np.uint8]:
    """The whole published test split: uint8 [10000, 28, 28]."""
    plain = gzip.decompress((cache_directory() / TEST.images.name).read_bytes())
    return np.frombuffer(plain, dtype=np.uint8, offset=16).reshape(-1, 28, 28)


@dataclass(frozen=True)
class Trained:
    """The registered checkpoint, the test images, and the Keras model's probabilities for them."""

    checkpoint: Path
    images: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def trained(clients: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Answers from the weights in the registered checkpoint, whose files are those of its manifest."""
    folder, images = tmp_path_factory.mktemp("trained"), published_images()
    uuid = json.loads((clients.directory / "build" / "model.json").read_text())["checkpoint_uuid"]
    clients.run("det", "checkpoint", "download", uuid, "-o", str(folder / "checkpoint"))
    Checkout(folder / "checkpoint", clients.environment).run("sha256sum", "--check", "--strict", "SHA256SUMS")
    np.save(folder / "images.npy", images)
    source = Checkout(clients.directory / "fmnist" / "model" / "src", clients.environment)
    python = str(clients.directory / ".venv" / "bin" / "python")
    names = [str(folder / name) for name in ("checkpoint", "images.npy", "answers.npy")]
    source.run(python, "-c", KERAS, *names)
    return Trained(folder / "checkpoint", images, np.load(folder / "answers.npy"))


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_the_exported_model_is_the_trained_one(trained: Trained, batch: int) -> None:
    answers = serving.load(trained.checkpoint).predict(trained.images, batch=batch)
    assert answers.shape == trained.probabilities.shape == (10000, 10)
    assert np.abs(answers - trained.probabilities).max() <= 1e-4


def test_every_answer_is_the_trained_models(clients: Checkout, trained: Trained) -> None:
    images, expected = trained.images, trained.probabilities
    url = predictions_url(clients)

    def ask(chunk: npt.NDArray[np.int64]) -> list[list[float]]:
        answers = []
        with requests.Session() as session:
            session.trust_env = False
            for number in chunk:
                tensor = {"shape": [28, 28], "values": images[number].ravel().tolist()}
                answer = session.post(url, json={"data": {"names": ["feature1"], "tensor": tensor}}, timeout=60)
                assert answer.status_code == 200, answer.text
                answers.append(answer.json()["data"]["tensor"]["values"])
        return answers

    chunks = np.array_split(np.arange(len(images)), CONNECTIONS)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        served = np.array([row for rows in pool.map(ask, chunks) for row in rows], dtype=np.float32)
    assert served.shape == expected.shape == (10000, 10)
    assert np.abs(served - expected).max() < 1e-3
    # Two classes within the tolerance of each other may change places; nothing else may.
    ordered = np.sort(expected, axis=1)
    decided = ordered[:, -1] - ordered[:, -2] > 1e-3
    assert (served.argmax(axis=1) == expected.argmax(axis=1))[decided].all()
    assert decided.mean() > 0.99
