"""The serving format: a folder that answers like the trained model and needs no TensorFlow to do so.

Normalisation, the mean over both mirror images (with `flip`) and the temperature live inside the graph; input is uint8
[n, 28, 28], output float32 probabilities [n, classes].
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import network
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from dataset import SIDE, Labels, Pixels
from errors import ExportMismatch

Floats = npt.NDArray[np.float32]

TOLERANCE = 1e-4
"""Largest difference of a probability between the exported and the trained model."""


def cross_entropy(logits: Floats, labels: Labels, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood (nats) of `labels` [n] under softmax(logits [n, classes] / temperature)."""
    return float(-_log_softmax(logits, temperature)[np.arange(len(labels)), labels].mean())


def probabilities(logits: Floats, temperature: float) -> Floats:
    """softmax(logits / temperature), float32 [n, classes]."""
    return np.exp(_log_softmax(logits, temperature)).astype(np.float32)


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature with the lowest cross entropy (C. Guo et al., arXiv 1706.04599).

    The loss is convex in 1/T, so a golden-section search over a wide range finds the one minimum.
    """
    ratio = (np.sqrt(5) - 1) / 2
    low, high = 0.05, 20.0
    while high - low > 1e-6:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if cross_entropy(logits, labels, 1 / left) < cross_entropy(logits, labels, 1 / right):
            high = right
        else:
            low = left
    return float(2 / (low + high))


def converter(model: tf.keras.Model, temperature: float, flip: bool) -> tf.lite.TFLiteConverter:
    """From the trained model to LiteRT: uint8 [n, 28, 28] to probabilities; the batch dimension stays open."""
    # A copy without optimiser and metrics: the converter would write out and read back their graphs too.
    bare = tf.keras.models.clone_model(model)
    bare.set_weights(model.get_weights())
    predict = tf.function(
        lambda images: tf.nn.softmax(network.logits(bare, images, flip) / temperature),
        input_signature=[tf.TensorSpec((None, SIDE, SIDE), tf.uint8)],
    )
    return tf.lite.TFLiteConverter.from_concrete_functions([predict.get_concrete_function()], bare)


def convert(model: tf.keras.Model, temperature: float, flip: bool) -> bytes:
    """The flat buffer that is served, in float32."""
    content: bytes = converter(model, temperature, flip).convert()
    return content


def run(content: bytes, images: Pixels) -> Floats:
    """Probabilities of the exported model for `images`."""
    interpreter = tf.lite.Interpreter(model_content=content)
    entry = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(entry, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry, images)
    interpreter.invoke()
    answer: Floats = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return answer


def check(content: bytes, images: Pixels, expected: Floats) -> None:
    """Raise ExportMismatch unless the exported model answers `images` with the probabilities `expected`."""
    answer = run(content, images)
    worst = float(np.abs(answer - expected).max())
    if not worst <= TOLERANCE:
        raise ExportMismatch(
            f"the exported model differs from the trained one by up to {worst:.2g} in probability "
            f"(at most {TOLERANCE:g} allowed) on {len(images)} validation images: nothing was exported"
        )


def write(
    folder: Path,
    content: bytes,
    *,
    labels: Sequence[str],
    parameters: int,
    preprocessing: str,
    temperature: float,
    hyperparameters: Mapping[str, Any],
    provenance: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> None:
    """Write `model.tflite`, `labels.json`, `metadata.json` and `SHA256SUMS` into the new folder `folder`.

    `temperature` is told for the record; it lives inside the graph.
    """
    metadata = {
        "format_version": 1,
        "model": {
            "name": "fashion-classifier",
            "file": "model.tflite",
            "runtime": "litert",
            "parameters": parameters,
        },
        "input": {"dtype": "uint8", "shape": [None, SIDE, SIDE], "range": [0, 255]},
        "output": {"dtype": "float32", "shape": [None, len(labels)], "meaning": "probabilities"},
        "preprocessing": preprocessing,
        "temperature": temperature,
        "hyperparameters": dict(hyperparameters),
        "software": {"python": platform.python_version(), "tensorflow": tf.__version__},
        "provenance": dict(provenance),
        "metrics": dict(metrics),
    }
    files = {
        "labels.json": json.dumps(list(labels)).encode() + b"\n",
        "metadata.json": json.dumps(metadata, indent=2).encode() + b"\n",
        "model.tflite": content,
    }
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    write_sums(folder)


def write_sums(folder: Path) -> None:
    """Write `SHA256SUMS` over all files below `folder`, in the format of `sha256sum --check`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files)
    (folder / "SHA256SUMS").write_text("".join(lines))


def _log_softmax(logits: Floats, temperature: float) -> npt.NDArray[np.float64]:
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    difference: npt.NDArray[np.float64] = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return difference
