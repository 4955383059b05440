"""The peer of the time-to-accuracy table: the network of Keras' MNIST example, which most tutorials copied.

`python -m benchmarks.training.tutorial` trains it and prints a JSON line for each look at the test split; the parent
takes the time.  The example (keras-team/keras, examples/mnist_cnn.py) has two unpadded 3x3 convolutions of 32 and 64
filters, max pooling, dropout of 0.25, a dense layer of 128, dropout of 0.5, batches of 128, 12 epochs, and
`Adadelta()` without a learning rate.  That meant 1.0 in Keras up to 2.3, for which it was written and tuned; in
TensorFlow 2 the same line means 0.001, with which it hardly learns (keras-team/keras issue 13815).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

OPTIMIZERS: dict[str, tuple[str, dict[str, float]]] = {
    "adadelta": ("Adadelta", {"learning_rate": 1.0}),
    "adadelta-tf2": ("Adadelta", {}),
    "adam": ("Adam", {}),
}
EPOCHS = 12
BATCH = 128
LOOKS = 4
"""Looks at the test split in an epoch."""


def main() -> int:
    """Train until the test accuracy has reached the target, or for all epochs of the example."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.tutorial", description=__doc__)
    parser.add_argument("--optimizer", choices=OPTIMIZERS, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--target", type=float, required=True, help="test accuracy at which there is nothing left to do"
    )
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # It warns that an evaluation takes longer than a step.
    tf.keras.utils.set_random_seed(arguments.seed)
    images, labels = (np.load(arguments.data / "train" / f"{name}.npy") for name in ("images", "labels"))
    name, settings = OPTIMIZERS[arguments.optimizer]
    model = network(tf, classes=int(labels.max()) + 1)
    model.compile(
        loss="categorical_crossentropy",
        optimizer=getattr(tf.keras.optimizers, name)(**settings),
        metrics=["accuracy"],
    )
    model.fit(
        images[..., None].astype(np.float32) / 255,
        tf.keras.utils.to_categorical(labels),
        batch_size=BATCH,
        epochs=arguments.epochs,
        verbose=0,
        callbacks=[looks(tf, arguments.data / "test", -(-len(images) // BATCH), arguments.target)],
    )
    return 0


def network(tf: Any, classes: int) -> Any:
    """float32 [n, 28, 28, 1] to probabilities [n, classes]."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            tf.keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def looks(tf: Any, test: Path, steps: int, target: float) -> Any:
    """A callback that evaluates LOOKS times an epoch of `steps` and says how long all evaluations have taken."""
    at = {round(steps * look / LOOKS) - 1: look / LOOKS for look in range(1, LOOKS + 1)}

    class Looks(tf.keras.callbacks.Callback):  # type: ignore[misc]
        """Prints epochs, accuracy and the seconds of all evaluations so far."""

        def __init__(self) -> None:
            super().__init__()
            self.epoch, self.evaluating = 0, 0.0
            started = time.monotonic()
            self.images, self.labels = np.load(test / "images.npy"), np.load(test / "labels.npy")
            self.evaluating += time.monotonic() - started

        def set_model(self, model: Any) -> None:
            """Compile nothing yet: the first evaluation does, off the clock."""
            super().set_model(model)
            self.answer = tf.function(
                lambda images: tf.argmax(model(tf.cast(images, tf.float32)[..., None] / 255.0, training=False), 1),
                input_signature=[tf.TensorSpec((None, 28, 28), tf.uint8)],
            )

        def on_epoch_begin(self, epoch: int, _logs: Any = None) -> None:
            """Remember the epoch."""
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, _logs: Any = None) -> None:
            """Look, where it is time to."""
            if batch not in at:
                return
            started = time.monotonic()
            parts = [self.answer(self.images[begin : begin + 500]) for begin in range(0, len(self.images), 500)]
            accuracy = float((np.concatenate(parts) == self.labels).mean())
            self.model.stop_training = self.model.stop_training or accuracy >= target
            self.evaluating += time.monotonic() - started
            found = {"epochs": self.epoch + at[batch], "accuracy": accuracy, "evaluating": self.evaluating}
            print(json.dumps(found), flush=True)

    return Looks()


if __name__ == "__main__":
    sys.exit(main())
