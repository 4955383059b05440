"""What the clients ask under load, good and bad, and what the only right answer to each is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.fashion_classifier.model import Classifier, Probabilities

PREDICTIONS = "api/v1.0/predictions"
TOLERANCE = 1e-6
"""In probability: the same float32 model, and decimal numbers on the way."""


@dataclass(frozen=True)
class Question:
    """One request.  A good one has `expected`: the probabilities [n, 10] by model version."""

    path: str
    body: bytes | None
    status: int
    expected: Mapping[str, Probabilities] | None = None

    def fault(self, status: int, body: bytes) -> str:
        """What is wrong with an answer; empty where nothing is."""
        if status != self.status:
            return f"{status} in place of {self.status}: {body[:300]!r}"
        answer = json.loads(body)
        if self.expected is None:
            return "" if answer["status"]["info"] else f"refused without a reason: {answer}"
        version = answer["meta"]["tags"]["model_version"]
        tensor = answer["data"]["tensor"]
        found = np.array(tensor["values"]).reshape(tensor["shape"])
        wanted = self.expected[version]
        if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=0, atol=TOLERANCE):
            return f"version {version} answered {found.tolist()}; it is {wanted.tolist()}"
        return ""


def questions(models: Mapping[str, Classifier], seed: int = 5) -> list[Question]:
    """Thirty-two different images, alone and five in a request, and every kind of mistake, in turns."""
    images = np.random.default_rng(seed).integers(0, 256, (32, 28, 28), dtype=np.uint8)
    good = [_good(images[i : i + count], models) for count in (1, 5) for i in range(0, len(images) - count, count)]
    bad = [
        Question(PREDICTIONS, b'{"data": {"tensor": {"shape": [28, 28], "values"', 400),
        Question(PREDICTIONS, _message([1, 2], [3, 4]), 400),
        Question(PREDICTIONS, _message([784], [256] * 784), 400),
        Question(PREDICTIONS, _message([784], [0.5] * 784), 400),
        Question(PREDICTIONS, b'{"data": {"ndarray": [["a"]]}}', 400),
        Question(PREDICTIONS, b"[]", 400),
        Question(PREDICTIONS, None, 405),
        Question("api/v1.0/nothing", b"{}", 404),
    ]
    return [each for pair in zip(good, (bad[i % len(bad)] for i in range(len(good))), strict=True) for each in pair]


def _good(images: npt.NDArray[np.uint8], models: Mapping[str, Classifier]) -> Question:
    expected = {version: model.probabilities(images) for version, model in models.items()}
    return Question(PREDICTIONS, _message(list(images.shape), images.ravel().tolist()), 200, expected)


def _message(shape: list[int], values: list[Any]) -> bytes:
    return json.dumps({"data": {"tensor": {"shape": shape, "values": values}}}).encode()
