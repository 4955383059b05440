"""The optimiser and its schedule: Muon for the kernels of convolutions, AdamW for everything else.

Muon makes the update of a kernel an orthogonal matrix: every direction of the layer learns at the same pace, where Adam
follows the few that dominate the gradient.  The source of a choice stands where it is made;
benchmarks/training/ablation.py measures what each is worth.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from hyperparameters import Hyperparameters

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients that bring singular values near 1 fastest (K. Jordan et al., "Muon: An optimizer for hidden layers in
neural networks", 2024)."""

ITERATIONS = 3
"""The usual number is 5; 3 bring all but the smallest singular values near 1 at three fifths of the cost."""


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
        fall = tf.maximum(1 + 1 / self.total_steps - done, 0.0) / (1 - self.warmup)
        return self.peak * tf.minimum(rise, fall)

    def get_config(self) -> dict[str, Any]:
        """What Keras stores of the schedule."""
        return {"peak": self.peak, "total_steps": self.total_steps, "warmup": self.warmup}


class Muon(tf.keras.optimizers.AdamW):  # type: ignore[misc]
    """AdamW whose updates of convolution kernels (the variables of rank 4) are orthogonalised momentum.

    One learning rate serves both: an orthogonal update is scaled until its root mean square is 1, the size of Adam's
    updates at the start (J. Liu et al., "Muon is Scalable for LLM Training", arXiv 2502.16982).
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One step of `variable`; Keras has applied its decoupled weight decay before."""
        if variable.shape.rank != 4:
            super().update_step(gradient, variable)
            return
        momentum = self._momentums[self._index_dict[self._var_key(variable)]]
        momentum.assign(self.beta_1 * momentum + gradient)
        variable.assign_sub(self.learning_rate * orthogonal(gradient + self.beta_1 * momentum))


def orthogonal(update: tf.Tensor) -> tf.Tensor:
    """The kernel [height, width, in, out] as the nearest matrix [height * width * in, out] with equal singular values.

    Newton-Schulz iteration: matrix products alone, which a CPU is best at.  The result's root mean square is near 1.
    """
    matrix = tf.reshape(update, (-1, update.shape[-1]))
    tall = matrix.shape[0] > matrix.shape[1]
    if tall:
        matrix = tf.transpose(matrix)
    matrix /= tf.norm(matrix) + 1e-7
    first, third, fifth = NEWTON_SCHULZ
    for _ in range(ITERATIONS):
        gram = tf.matmul(matrix, matrix, transpose_b=True)
        matrix = first * matrix + tf.matmul(third * gram + fifth * tf.matmul(gram, gram), matrix)
    matrix *= float(max(matrix.shape)) ** 0.5
    return tf.reshape(tf.transpose(matrix) if tall else matrix, update.shape)


def build(settings: Hyperparameters, total_steps: int) -> tf.keras.optimizers.Optimizer:
    """The optimiser that `settings` name.  Its decay spares what has no direction to shrink: biases, normalisation."""
    chosen = OPTIMIZERS[settings.optimizer](
        Triangle(settings.learning_rate, total_steps, settings.warmup),
        weight_decay=settings.weight_decay,
        beta_1=settings.momentum,
        beta_2=0.99,
    )
    chosen.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return chosen


OPTIMIZERS = {"muon": Muon, "adamw": tf.keras.optimizers.AdamW}
