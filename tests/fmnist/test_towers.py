"""A batch cut into towers trains like the whole one, but for what batch normalisation sees."""

from __future__ import annotations

import numpy as np
import pytest
import train
from dataset import Pixels, Targets

from tests.fmnist.conftest import shapes

pytestmark = pytest.mark.xdist_group("tensorflow")


def step(count: int, images: Pixels, targets: Targets) -> tuple[float, list[Targets]]:
    """Loss and weights after one step of gradient descent in `count` towers."""
    import network
    import tensorflow as tf
    import towers

    tf.keras.utils.set_random_seed(1)
    model = towers.of(network.build(8, 16, 1, 10), count)
    model.compile(tf.keras.optimizers.SGD(0.1), tf.keras.losses.CategoricalCrossentropy(from_logits=True))
    metrics = model.train_on_batch(images, targets, return_dict=True)
    return metrics["loss"], [weight.numpy() for weight in model.trainable_variables]


@pytest.mark.slow
def test_towers_of_the_same_images_take_the_same_step_as_one() -> None:
    images, labels = shapes(20)
    images, targets = np.concatenate([images, images]), np.eye(10, dtype=np.float32)[np.concatenate([labels, labels])]
    loss, weights = step(1, images, targets)
    in_towers = step(2, images, targets)
    assert in_towers[0] == pytest.approx(loss, rel=1e-5)
    for ours, whole in zip(in_towers[1], weights, strict=True):
        np.testing.assert_allclose(ours, whole, atol=1e-5)


@pytest.mark.slow
def test_each_tower_is_normalised_by_itself() -> None:
    images, labels = shapes(40)
    images[20:] //= 4
    targets = np.eye(10, dtype=np.float32)[labels]
    loss, weights = step(2, images, targets)
    halves = [step(1, images[half], targets[half])[0] for half in (slice(20), slice(20, 40))]
    assert loss == pytest.approx(sum(halves) / 2, rel=1e-5)
    whole = step(1, images, targets)[1]
    assert max(np.abs(ours - theirs).max() for ours, theirs in zip(weights, whole, strict=True)) > 1e-4


@pytest.mark.parametrize(
    ("given", "cores", "towers", "expected"),
    [(None, 2, 2, 1), ("", 8, 2, 4), ("0", 8, 2, 4), ("2", 8, 2, 1), ("all", 4, 1, 4), ("1", 2, 2, 1)],
)
def test_an_operation_has_its_towers_share_of_the_threads(
    given: str | None, cores: int, towers: int, expected: int
) -> None:
    assert train.threads(given, cores, towers) == expected
