"""A training step that uses two cores fully: the batch is cut into towers, each computed on a core of its own.

TensorFlow otherwise shares out every operation among the cores, and they wait for each other after each of the small
convolutions (benchmarks/training has the measurement).  Batch normalisation sees the images of one tower at a time,
which regularises a little (ghost batch normalisation: E. Hoffer et al., "Train longer, generalize better", arXiv
1705.08741), and updates its running statistics once a tower.
"""

from __future__ import annotations

import tensorflow as tf


class Towers(tf.keras.Model):  # type: ignore[misc]
    """The network given as inputs and outputs, which trains on `towers` equal parts of every batch side by side."""

    towers = 1

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on (images, targets), whose number `towers` divides: one loss, one gradient, one update."""
        images, targets = data
        with tf.GradientTape() as tape:
            answers = tf.concat([self(part, training=True) for part in tf.split(images, self.towers)], axis=0)
            loss = self.compute_loss(images, targets, answers)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        metrics: dict[str, tf.Tensor] = self.compute_metrics(images, targets, answers, None)
        return metrics


def of(network: tf.keras.Model, towers: int) -> Towers:
    """The same network, layers and weights shared, to be trained in towers."""
    made = Towers(network.input, network.output)
    made.towers = towers
    return made
