"""The paired test of two models: its arithmetic, its symmetry, and that test and interval agree."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.test.comparison import Paired, fallen_classes

COUNTS = st.integers(0, 400)
PAIRED = st.builds(lambda gained, lost, both: Paired(gained + lost + both + 1, gained, lost), COUNTS, COUNTS, COUNTS)


def turned(paired: Paired) -> Paired:
    return Paired(paired.images, paired.lost, paired.gained)


def test_an_example_by_hand() -> None:
    new, old = np.array([1, 1, 1, 0, 0, 1], bool), np.array([1, 0, 0, 0, 1, 0], bool)
    paired = Paired.of(new, old)
    assert (paired.images, paired.gained, paired.lost) == (6, 3, 1)
    assert paired.difference == pytest.approx(2 / 6)
    assert paired.p_value == pytest.approx(2 * (4 + 1) / 2**4)


def test_the_interval_is_clopper_and_pearsons() -> None:
    # The published interval of 4 successes in 20 trials is 0.0573 to 0.4366.
    low, high = Paired(100, 4, 16).interval
    assert (low, high) == pytest.approx(((2 * 0.05733 - 1) * 0.2, (2 * 0.43661 - 1) * 0.2), abs=1e-5)


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_p_value_is_the_binomial_sum(gained: int, lost: int) -> None:
    decided = gained + lost
    tail = sum(comb(decided, k) for k in range(min(gained, lost) + 1)) / 2**decided
    assert Paired(100, gained, lost).p_value == pytest.approx(min(1.0, 2 * tail), rel=1e-6)


@given(PAIRED)
def test_who_is_called_new_changes_nothing_but_the_sign(paired: Paired) -> None:
    other = turned(paired)
    assert other.p_value == pytest.approx(paired.p_value)
    assert other.difference == -paired.difference
    assert (-other.interval[1], -other.interval[0]) == pytest.approx(paired.interval)


@given(PAIRED, st.floats(0, 1))
def test_test_and_interval_never_contradict_each_other(paired: Paired, margin: float) -> None:
    low, high = paired.interval
    assert -1 <= low <= paired.difference <= high <= 1
    if abs(paired.p_value - 0.05) > 1e-6:
        assert (paired.p_value < 0.05) == (high < 0 or low > 0)
    assert not (paired.worse_by_more_than(margin) and turned(paired).worse_by_more_than(margin))
    if paired.worse_by_more_than(margin):
        assert paired.worse_by_more_than(margin / 2)
        assert paired.difference < -margin


def test_equals_are_equal() -> None:
    paired = Paired(10, 0, 0)
    assert (paired.difference, paired.p_value, paired.interval) == (0, 1, (0, 0))
    assert not paired.worse_by_more_than(0)


def test_answers_to_different_images_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 2 images"):
        Paired.of(np.ones(3, bool), np.ones(2, bool))


def test_a_class_that_fell_is_found_although_all_together_did_not() -> None:
    labels = np.repeat(np.arange(3), 100)
    old, new = np.ones(300, bool), np.ones(300, bool)
    new[:20] = False
    old[100:120] = False
    assert Paired.of(new, old).difference == 0
    ((label, paired),) = fallen_classes(new, old, labels, 3)
    assert (label, paired.lost, paired.gained) == (0, 20, 0)


def test_one_image_of_a_class_is_chance() -> None:
    labels = np.repeat(np.arange(2), 100)
    new = np.ones(200, bool)
    new[0] = False
    assert fallen_classes(new, np.ones(200, bool), labels, 2) == []
