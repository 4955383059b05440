"""Writes a small untrained model in the serving format: `python tiny_model.py DIRECTORY SEED`.

A program of its own, so that only one process of the test run pays for importing TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

LABELS = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip

METADATA: dict[str, Any] = {
    "format_version": 1,
    "model": {"name": "fashion-classifier", "file": "model.tflite", "runtime": "litert", "parameters": 1450},
    "input": {"dtype": "uint8", "shape": [None, 28, 28], "range": [0, 255]},
    "output": {"dtype": "float32", "shape": [None, 10], "meaning": "probabilities"},
    "preprocessing": "scaled to 0-1 inside the graph",
    "provenance": {
        "data_train": {"repo": "fmnist-train", "branch": "master", "commit": "5c1e0bd6ac1f4e2f9a0f3c1de7e0a111"},
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
        "source_tree": "a" * 64,
        "experiment_id": 1,
        "trial_id": 2,
        "seed": 7,
        "config_sha256": "b" * 64,
        "lock_sha256": None,
    },
    "metrics": {"validation_accuracy": 0.1, "validation_loss": 2.3},
}


def write_checksums(serving: Path) -> None:
    """(Re)write SHA256SUMS for the three files of the format."""
    lines = [
        f"{hashlib.sha256((serving / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("labels.json", "metadata.json", "model.tflite")
    ]
    (serving / "SHA256SUMS").write_text("".join(lines))


def main(serving: Path, seed: int) -> None:
    """Build, convert and write the model with its labels, metadata and checksums."""
    import tensorflow as tf

    tf.keras.utils.set_random_seed(seed)
    images = tf.keras.Input((28, 28), dtype=tf.uint8)
    scaled = tf.cast(images, tf.float32)[..., tf.newaxis] / 255.0
    features = tf.keras.layers.Conv2D(8, 5, strides=4, activation="relu", kernel_initializer="he_normal")(scaled)
    logits = tf.keras.layers.Dense(10, kernel_initializer="he_normal")(tf.keras.layers.Flatten()(features))
    model = tf.keras.Model(images, tf.nn.softmax(4 * logits))
    serving.mkdir(parents=True, exist_ok=True)
    (serving / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    (serving / "labels.json").write_text(json.dumps(LABELS))
    (serving / "metadata.json").write_text(json.dumps(METADATA, indent=2))
    write_checksums(serving)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
