"""The training of one trial: optimiser, schedule, validation, and the final checkpoint."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import export
import network
import numpy as np
import tensorflow as tf
from dataset import SIDE, Batches, Examples, join, split
from determined import core
from determined.keras import DeterminedCallback
from hyperparameters import Hyperparameters
from task import Task

log = logging.getLogger("train")

PREPROCESSING = "none outside the graph: it scales pixels to 0-1 and averages the logits of both mirror images"


class Triangle(tf.keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Linear warm-up to `peak` over the first `warmup` of all steps, then linear decay to zero.

    A function of the optimiser's step counter, which checkpoints hold: a resumed trial goes on where it was.
    """

    def __init__(self, peak: float, total_steps: int, warmup: float) -> None:
        self.peak, self.total_steps, self.warmup = peak, total_steps, warmup

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The learning rate of step number `step`, counted from 0."""
        done = (tf.cast(step, tf.float32) + 1) / self.total_steps
        rise = done / max(self.warmup, 1 / self.total_steps)
        fall = (1 + 1 / self.total_steps - done) / (1 - self.warmup)
        return self.peak * tf.minimum(rise, fall)

    def get_config(self) -> dict[str, Any]:
        """What Keras stores of the schedule."""
        return {"peak": self.peak, "total_steps": self.total_steps, "warmup": self.warmup}


def optimizer(settings: Hyperparameters, total_steps: int) -> tf.keras.optimizers.Optimizer:
    """AdamW whose decay leaves alone what has no direction to shrink: biases and batch normalisation."""
    chosen = tf.keras.optimizers.AdamW(
        Triangle(settings.learning_rate, total_steps, settings.warmup),
        weight_decay=settings.weight_decay,
        beta_1=settings.momentum,
        beta_2=0.99,
    )
    chosen.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return chosen


class Validation(tf.keras.callbacks.Callback):  # type: ignore[misc]
    """Validates at the end of each epoch and keeps the best weights.

    Stands before DeterminedCallback, so that the epoch's checkpoint finds the validation reported and holds the best
    weights so far: they survive the process.
    """

    def __init__(self, core_context: core.Context, examples: Examples) -> None:
        super().__init__()
        self._core = core_context
        self._examples = examples
        self._started = 0.0

    def set_model(self, model: tf.keras.Model) -> None:
        """Attach the shadow of the best weights to the model, whose checkpoints then include it."""
        super().set_model(model)
        self.best_loss = tf.Variable(np.inf, dtype=tf.float64, trainable=False)
        self._best = [tf.Variable(weight, trainable=False) for weight in model.weights]
        model.best = tf.train.Checkpoint(loss=self.best_loss, weights=self._best)
        self._logits = tf.function(
            lambda images: network.logits(model, images),
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


class Training:
    """One trial from its task to its final checkpoint."""

    def __init__(self, task: Task, core_context: core.Context) -> None:
        self._task = task
        self._core = core_context
        settings = task.hyperparameters
        classes = len(task.class_names)
        tf.keras.utils.set_random_seed(task.seed)
        training, self._validation_examples = split(
            task.data.train, settings.validation_images, settings.split_seed, classes
        )
        self._batches = Batches(
            join(training, task.data.feedback),
            classes=classes,
            batch_size=settings.batch_size,
            shift=settings.shift,
            flip=settings.flip,
            seed=task.seed,
        )
        self._total_steps = settings.epochs * self._batches.steps_per_epoch
        self._model = network.build(settings.width, settings.depth, classes)
        log.info("%d parameters, %d steps", network.parameter_count(self._model), self._total_steps)
        if task.warm_start:
            with core_context.checkpoint.restore_path(task.warm_start) as path:
                self._model.load_weights(str(path / "model_checkpoint")).expect_partial()
        self._model.compile(
            optimizer=optimizer(settings, self._total_steps),
            loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing),
            metrics=["accuracy"],
        )
        self._validation = Validation(core_context, self._validation_examples)

    def run(self) -> None:
        """Train what is left to train; write the final checkpoint unless a pause came first."""
        settings = self._task.hyperparameters
        self._model.fit(
            self._dataset(),
            epochs=settings.epochs,
            steps_per_epoch=self._batches.steps_per_epoch,
            verbose=0,
            callbacks=[
                self._validation,
                DeterminedCallback(self._core, checkpoint=self._task.resume, continue_id=self._task.trial_id),
            ],
        )
        steps = int(self._model.optimizer.iterations)
        if steps < self._total_steps:
            log.info("asked to stop after step %d of %d: the rest is left to a resume", steps, self._total_steps)
            return
        self._finish(steps + 1)

    def _dataset(self) -> tf.data.Dataset:
        # Keras pulls the first batch after the callbacks have loaded the checkpoint, and with it the step counter.
        def batches() -> Any:
            return self._batches.since(int(self._model.optimizer.iterations))

        signature = (
            tf.TensorSpec((None, SIDE, SIDE), tf.uint8),
            tf.TensorSpec((None, len(self._task.class_names)), tf.float32),
        )
        return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(4)

    def _finish(self, steps: int) -> None:
        """Final validation and checkpoint, one step after the last epoch's.

        Determined ranks a checkpoint by the validation reported at its very step.  The temperature can only lower the
        loss of the best epoch, so this checkpoint ranks first.
        """
        self._validation.restore_best()
        logits = self._validation.logits()
        temperature = export.fit_temperature(logits, self._validation_examples.labels)
        metrics = metrics_of(logits, self._validation_examples, temperature)
        content = export.convert(self._model, temperature)
        export.check(content, self._validation_examples.images, export.probabilities(logits, temperature))
        progress = {"epochs": self._task.hyperparameters.epochs, "batches": steps}
        self._core.train.report_metrics("validation", steps, {**metrics, **progress})
        hyperparameters = dataclasses.asdict(self._task.hyperparameters)
        metadata = {
            "steps_completed": steps,
            "provenance": dict(self._task.provenance),
            "metrics": metrics,
            "temperature": temperature,
            "hyperparameters": hyperparameters,
        }
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            export.write(
                folder / "serving",
                content,
                labels=self._task.class_names,
                parameters=network.parameter_count(self._model),
                preprocessing=PREPROCESSING,
                temperature=temperature,
                hyperparameters=hyperparameters,
                provenance=self._task.provenance,
                metrics=metrics,
            )
            self._model.save_weights(str(folder / "model_checkpoint"))
            export.write_sums(folder)
            uuid = self._core.checkpoint.upload(folder, metadata)
        log.info("final checkpoint %s: %s, temperature %.3f", uuid, metrics, temperature)
