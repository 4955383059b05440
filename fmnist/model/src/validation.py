"""Validation at the end of each epoch, and the memory of the best one."""

from __future__ import annotations

import logging
import time
from typing import Any

import export
import network
import numpy as np
import tensorflow as tf
from dataset import SIDE, Examples
from determined import core

log = logging.getLogger("train")


class Validation(tf.keras.callbacks.Callback):  # type: ignore[misc]
    """Validates at the end of each epoch and keeps the best weights.

    Stands before DeterminedCallback, so that the epoch's checkpoint finds the validation reported and holds the best
    weights so far: they survive the process.
    """

    def __init__(self, core_context: core.Context, examples: Examples, flip: bool) -> None:
        super().__init__()
        self._core = core_context
        self._examples = examples
        self._flip = flip
        self._started = 0.0

    def set_model(self, model: tf.keras.Model) -> None:
        """Attach the shadow of the best weights to the model, whose checkpoints then include it."""
        super().set_model(model)
        self.best_loss = tf.Variable(np.inf, dtype=tf.float64, trainable=False)
        self._best = [tf.Variable(weight, trainable=False) for weight in model.weights]
        model.best = tf.train.Checkpoint(loss=self.best_loss, weights=self._best)
        self._logits = tf.function(
            lambda images: network.logits(model, images, self._flip),
            input_signature=[tf.TensorSpec((None, SIDE, SIDE), tf.uint8)],
        )

    def on_epoch_begin(self, _epoch: int, _logs: dict[str, Any] | None = None) -> None:
        """Start the epoch's clock."""
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the epoch's validation metrics and remember its weights if they are the best so far."""
        values = self.logits()
        metrics = metrics_of(values, self._examples)
        steps = int(self.model.optimizer.iterations)
        self._core.train.report_metrics("validation", steps, {**metrics, "epochs": epoch + 1, "batches": steps})
        if metrics["validation_loss"] < float(self.best_loss):
            self.best_loss.assign(metrics["validation_loss"])
            for kept, weight in zip(self._best, self.model.weights, strict=True):
                kept.assign(weight)
        log.info(
            "epoch %d of %d: loss %.4f, validation loss %.4f, validation accuracy %.4f, %.1f s",
            epoch + 1,
            self.params["epochs"],
            (logs or {})["loss"],
            metrics["validation_loss"],
            metrics["validation_accuracy"],
            time.monotonic() - self._started,
        )

    def logits(self) -> export.Floats:
        """Logits of the whole validation split, float32 [n, classes]."""
        images = self._examples.images
        return np.concatenate([self._logits(images[at : at + 500]) for at in range(0, len(images), 500)])

    def restore_best(self) -> None:
        """Put the best weights back into the model."""
        for kept, weight in zip(self._best, self.model.weights, strict=True):
            weight.assign(kept)


def metrics_of(logits: export.Floats, examples: Examples, temperature: float = 1.0) -> dict[str, float]:
    """What Determined gets after a validation; `validation_loss` is the searcher's metric."""
    return {
        "validation_accuracy": float((logits.argmax(axis=1) == examples.labels).mean()),
        "validation_loss": export.cross_entropy(logits, examples.labels, temperature),
    }
