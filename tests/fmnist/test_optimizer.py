"""Muon, its schedule, and what the configurations may name."""

from __future__ import annotations

from typing import Any

import hyperparameters
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.fmnist.conftest import SOURCE

pytestmark = pytest.mark.xdist_group("tensorflow")

SETTINGS: dict[str, Any] = yaml.safe_load((SOURCE / "const.yaml").read_text())["hyperparameters"]


def settings(**changes: Any) -> hyperparameters.Hyperparameters:
    return hyperparameters.Hyperparameters.from_mapping({**SETTINGS, **changes})


@pytest.mark.slow
def test_a_configuration_can_name_every_optimizer() -> None:
    import optimizer

    assert tuple(optimizer.OPTIMIZERS) == hyperparameters.OPTIMIZERS


def test_the_schedule_rises_to_its_peak_and_falls_to_nothing() -> None:
    from optimizer import Triangle

    rates = [float(Triangle(0.5, 100, 0.2)(step)) for step in range(100)]
    assert max(rates) == pytest.approx(0.5)
    assert rates.index(max(rates)) == 19
    assert rates[0] == pytest.approx(0.5 / 20)
    assert rates[-1] == pytest.approx(0.5 / 80)
    assert float(Triangle(0.5, 100, 0.0)(0)) == pytest.approx(0.5)


@hypothesis_settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([(3, 3, 4, 32), (3, 3, 32, 80), (1, 1, 24, 24), (3, 3, 2, 48)]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-4, 1.0, 1e4]),
)
def test_an_update_moves_every_direction_alike(shape: tuple[int, ...], seed: int, scale: float) -> None:
    """The singular vectors stay, the singular values come together, and the scale of the gradient is gone."""
    import optimizer
    import tensorflow as tf

    update = np.random.default_rng(seed).normal(size=shape).astype(np.float32) * scale
    result = optimizer.orthogonal(tf.constant(update)).numpy()
    before, after = (kernel.reshape(-1, shape[-1]) for kernel in (update, result))
    left, old, right = np.linalg.svd(before, full_matrices=False)
    rotated = left.T @ after @ right.T
    new = np.diag(rotated)
    assert np.abs(rotated - np.diag(new)).max() < 1e-2 * new.max()
    assert (new > 0).all()
    assert new.max() / new.min() < max(old.max() / old.min(), 2)
    assert 0.5 < np.sqrt((result**2).mean()) < 1.3


def test_a_kernel_follows_its_orthogonal_momentum() -> None:
    import optimizer
    import tensorflow as tf

    chosen = settings(optimizer="muon", weight_decay=0.5)
    rng = np.random.default_rng(0)
    kernel = tf.Variable(rng.normal(size=(3, 3, 2, 4)).astype(np.float32), name="kernel")
    expected, momentum = kernel.numpy(), np.zeros(kernel.shape, np.float32)
    muon = optimizer.build(chosen, total_steps=10)
    rate = optimizer.Triangle(chosen.learning_rate, 10, chosen.warmup)
    for step in range(3):
        gradient = rng.normal(size=kernel.shape).astype(np.float32)
        muon.apply_gradients([(tf.constant(gradient), kernel)])
        momentum = chosen.momentum * momentum + gradient
        direction = optimizer.orthogonal(tf.constant(gradient + chosen.momentum * momentum)).numpy()
        expected = expected * (1 - chosen.weight_decay * float(rate(step))) - float(rate(step)) * direction
    np.testing.assert_allclose(kernel.numpy(), expected, atol=1e-5)


def test_after_its_last_step_the_rate_is_zero() -> None:
    from optimizer import Triangle

    assert float(Triangle(0.5, 100, 0.2)(150)) == 0


def test_muon_treats_all_but_kernels_as_adamw_does() -> None:
    import optimizer
    import tensorflow as tf

    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 3)).astype(np.float32)
    kernel = tf.Variable(rng.normal(size=(3, 3, 2, 4)).astype(np.float32), name="kernel")
    ends = []
    for name in hyperparameters.OPTIMIZERS:
        weights = tf.Variable(start, name="weights")
        chosen = optimizer.build(settings(optimizer=name), total_steps=20)
        for step in range(5):
            gradient = tf.constant(np.random.default_rng(step).normal(size=start.shape).astype(np.float32))
            chosen.apply_gradients([(gradient, weights), (tf.ones_like(kernel), kernel)])
        ends.append(weights.numpy())
    assert np.array_equal(*ends)
    assert not np.allclose(ends[0], start)


def test_biases_and_normalisation_do_not_decay() -> None:
    import optimizer
    import tensorflow as tf

    names = ("kernel", "bias", "gamma", "beta")
    variables = [tf.Variable(tf.ones((3, 3)), name=name) for name in names]
    chosen = optimizer.build(settings(weight_decay=0.5), total_steps=10)
    chosen.apply_gradients([(tf.zeros_like(variable), variable) for variable in variables])
    decayed = [name for name, variable in zip(names, variables, strict=True) if float(variable[0, 0]) < 1]
    assert decayed == ["kernel"]
