"""Reads and runs the serving format of a registered checkpoint, as the image will."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from fmnist.errors import ServingFormatError

FORMAT_VERSION = 1
FILES = ("labels.json", "metadata.json", "model.tflite")
TOLERANCE = 1e-5
"""How far the sum of an image's probabilities may be from 1."""
_NEEDED = (
    "format_version",
    "model.parameters",
    "metrics.validation_accuracy",
    "provenance.data_train.repo",
    "provenance.data_train.commit",
    "provenance.git.commit",
    "provenance.git.dirty",
    *(
        f"provenance.{name}"
        for name in ("source_tree", "experiment_id", "trial_id", "seed", "config_sha256", "lock_sha256")
    ),
)
"""What gate and report read of metadata.json; a value may be null."""


@dataclass(frozen=True)
class ServingModel:
    """A verified serving folder: LiteRT model, class names and metadata."""

    content: bytes
    labels: tuple[str, ...]
    metadata: dict[str, Any]

    @property
    def provenance(self) -> dict[str, Any]:
        """What training wrote about its inputs."""
        provenance: dict[str, Any] = self.metadata["provenance"]
        return provenance

    def runner(self, threads: int | None = None) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
        """A function from uint8 [n, 28, 28] to probabilities float32 [n, classes], on all cores or so many threads."""
        interpreter = Interpreter(model_content=self.content, num_threads=threads or len(os.sched_getaffinity(0)))
        entry = interpreter.get_input_details()[0]["index"]
        exit_ = interpreter.get_output_details()[0]["index"]
        allocated = None

        def run(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            nonlocal allocated
            if images.shape != allocated:
                allocated = images.shape
                interpreter.resize_tensor_input(entry, images.shape)
                interpreter.allocate_tensors()
            interpreter.set_tensor(entry, images)
            interpreter.invoke()
            answer: npt.NDArray[np.float32] = interpreter.get_tensor(exit_)
            return answer

        return run

    def predict(
        self, images: npt.NDArray[np.uint8], batch: int = 500, advance: Callable[[int], object] = lambda _: None
    ) -> npt.NDArray[np.float32]:
        """Probabilities of any number of images; `advance` hears of each number of images done.

        Raises ServingFormatError for answers that are none.
        """
        run = self.runner()
        answers = []
        for start in range(0, len(images), batch):
            answers.append(run(images[start : start + batch]))
            advance(len(answers[-1]))
        probabilities = np.concatenate(answers)
        off = np.abs(probabilities.sum(axis=1) - 1)
        # NaN is neither at least 0 nor within the tolerance.
        if not ((probabilities >= 0).all() and (off <= TOLERANCE).all()):
            raise ServingFormatError(
                f"serving/model.tflite does not answer with probabilities: lowest {probabilities.min():.3g}, "
                f"a sum is off 1 by {off.max():.3g}; was it exported without its softmax?"
            )
        return probabilities


def load(checkpoint: Path) -> ServingModel:
    """Verify the folder `serving/` of a downloaded checkpoint and read it; raises ServingFormatError."""
    folder = checkpoint / "serving"
    if not folder.is_dir():
        raise ServingFormatError(
            f"the checkpoint has no folder serving/: it is not the final one of a completed trial; "
            f"register the experiment's best checkpoint ({checkpoint.name})"
        )
    contents = _verified(folder)
    labels = _json(contents, "labels.json")
    metadata = _json(contents, "metadata.json")
    if missing := [path for path in _NEEDED if not _has(metadata, path.split("."))]:
        raise ServingFormatError(f"serving/metadata.json lacks {', '.join(missing)}")
    if metadata["format_version"] != FORMAT_VERSION:
        raise ServingFormatError(f"serving format {metadata['format_version']!r}; this gate reads {FORMAT_VERSION}")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ServingFormatError("serving/labels.json is not a list of class names")
    model = ServingModel(contents["model.tflite"], tuple(labels), metadata)
    _check_signature(model)
    return model


def _verified(folder: Path) -> dict[str, bytes]:
    try:
        lines = (folder / "SHA256SUMS").read_text().splitlines()
    except OSError as error:
        raise ServingFormatError(f"serving/SHA256SUMS cannot be read: {error}") from error
    sums = {name: digest for digest, name in (line.split(maxsplit=1) for line in lines if line.strip())}
    if sorted(sums) != sorted(FILES):
        raise ServingFormatError(f"serving/SHA256SUMS lists {sorted(sums)}; expected {list(FILES)}")
    contents = {}
    for name, digest in sums.items():
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise ServingFormatError(f"serving/{name} cannot be read: {error}") from error
        if (found := hashlib.sha256(content).hexdigest()) != digest:
            raise ServingFormatError(f"serving/{name} is corrupt: SHA-256 {found}, SHA256SUMS says {digest}")
        contents[name] = content
    return contents


def _json(contents: dict[str, bytes], name: str) -> Any:
    try:
        return json.loads(contents[name])
    except ValueError as error:
        raise ServingFormatError(f"serving/{name} is not JSON: {error}") from error


def _has(value: Any, path: Sequence[str]) -> bool:
    """Whether there is something, or null, at this path of nested mappings."""
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def _check_signature(model: ServingModel) -> None:
    try:
        interpreter = Interpreter(model_content=model.content)
    except ValueError as error:
        raise ServingFormatError(f"serving/model.tflite is not a LiteRT model: {error}") from error
    entry, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = (list(entry["shape_signature"]), entry["dtype"], list(exit_["shape_signature"]), exit_["dtype"])
    expected = ([-1, 28, 28], np.uint8, [-1, len(model.labels)], np.float32)
    if found != expected:
        raise ServingFormatError(f"serving/model.tflite has the signature {found}; expected {expected}")
