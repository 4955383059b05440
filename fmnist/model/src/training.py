"""The training of one trial, from its task to its final checkpoint."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import export
import network
import optimizer
import tensorflow as tf
import towers
from dataset import SIDE, Batches, Pixels, Targets, join, split
from determined import core
from determined.keras import DeterminedCallback
from errors import ConfigError
from task import Task
from validation import Validation, metrics_of

log = logging.getLogger("train")

PREPROCESSING = {
    False: "none outside the graph: it scales pixels to 0-1",
    True: "none outside the graph: it scales pixels to 0-1 and averages the logits of both mirror images",
}
"""What the checkpoint says of the input, without and with mirror images."""


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
        feedback = None if task.data.feedback is None else task.data.feedback.without(self._validation_examples)
        self._batches = Batches(
            join(training, feedback),
            classes=classes,
            batch_size=settings.batch_size,
            shift=settings.shift,
            flip=settings.flip,
            erase=settings.erase,
            seed=task.seed,
        )
        self._total_steps = settings.epochs * self._batches.steps_per_epoch
        net = network.build(settings.width, settings.late_width, settings.depth, classes)
        self._model = towers.of(net, settings.towers)
        log.info("%d parameters, %d steps", network.parameter_count(self._model), self._total_steps)
        if task.warm_start:
            with core_context.checkpoint.restore_path(task.warm_start) as path:
                warm_start(self._model, path, task.warm_start)
        self._model.compile(
            optimizer=optimizer.build(settings, self._total_steps),
            loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing),
            metrics=["accuracy"],
        )
        self._validation = Validation(core_context, self._validation_examples, settings.flip)

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
        return streamed(lambda: self._batches.since(int(self._model.optimizer.iterations)), len(self._task.class_names))

    def _finish(self, steps: int) -> None:
        """Final validation and checkpoint, one step after the last epoch's.

        Determined ranks a checkpoint by the validation reported at its very step.  The temperature can only lower the
        loss of the best epoch, so this checkpoint ranks first.
        """
        settings = self._task.hyperparameters
        self._validation.restore_best()
        logits = self._validation.logits()
        temperature = export.fit_temperature(logits, self._validation_examples.labels)
        metrics = metrics_of(logits, self._validation_examples, temperature)
        content = export.convert(self._model, temperature, settings.flip)
        export.check(content, self._validation_examples.images, export.probabilities(logits, temperature))
        progress = {"epochs": settings.epochs, "batches": steps}
        self._core.train.report_metrics("validation", steps, {**metrics, **progress})
        hyperparameters = dataclasses.asdict(settings)
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
                preprocessing=PREPROCESSING[settings.flip],
                temperature=temperature,
                hyperparameters=hyperparameters,
                provenance=self._task.provenance,
                metrics=metrics,
            )
            self._model.save_weights(str(folder / "model_checkpoint"))
            export.write_sums(folder)
            uuid = self._core.checkpoint.upload(folder, metadata)
        log.info("final checkpoint %s: %s, temperature %.3f", uuid, metrics, temperature)


def streamed(batches: Callable[[], Iterator[tuple[Pixels, Targets]]], classes: int) -> tf.data.Dataset:
    """Batches made ahead of their use: images uint8 [n, 28, 28], targets float32 [n, classes].

    Without tf.data's tuner, which has nothing to tune here: a thread of it sleeps for up to a minute, and the end of
    `fit`, of a pause too, waits for it (TensorFlow 2.15).
    """
    signature = (tf.TensorSpec((None, SIDE, SIDE), tf.uint8), tf.TensorSpec((None, classes), tf.float32))
    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(4).with_options(options)


def warm_start(model: tf.keras.Model, checkpoint: Path, uuid: str) -> None:
    """Load the weights of another trial's checkpoint.  Raises ConfigError where they are those of another network."""
    try:
        model.load_weights(str(checkpoint / "model_checkpoint")).assert_existing_objects_matched().expect_partial()
    except (ValueError, AssertionError) as error:
        raise ConfigError(
            f"checkpoint {uuid} holds another network ({str(error).splitlines()[0]}): width, late_width and depth must "
            "be those of the trial that it comes from"
        ) from error
