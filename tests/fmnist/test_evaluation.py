"""The arithmetic of the accuracy gate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.test.evaluation import Evaluation, wilson_interval

NAMES = ("a", "b", "c")


def evaluate(answers: list[int], labels: list[int], confidence: float = 0.8) -> Evaluation:
    probabilities = np.full((len(answers), 3), (1 - confidence) / 2, np.float32)
    probabilities[np.arange(len(answers)), answers] = confidence
    return Evaluation(probabilities, np.array(labels, np.uint8), NAMES)


PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


def test_an_example_by_hand() -> None:
    result = evaluate(answers=[0, 0, 1, 1, 0], labels=[0, 0, 0, 1, 1])
    assert result.accuracy == pytest.approx(3 / 5)
    assert result.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    a, b, c = result.classes
    assert (a.precision, a.recall, a.f1, a.support) == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3))
    assert (b.precision, b.recall, b.f1, b.support) == pytest.approx((1 / 2, 1 / 2, 1 / 2, 2))
    assert (c.precision, c.recall, c.f1, c.support) == (0, 0, 0, 0)
    assert result.cross_entropy == pytest.approx(-(3 * math.log(0.8) + 2 * math.log(0.1)) / 5)
    assert result.calibration_error == pytest.approx(0.2)


@given(PAIRS)
def test_the_confusion_matrix_accounts_for_every_image(pairs: list[tuple[int, int]]) -> None:
    answers, labels = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    result = evaluate(answers, labels)
    assert result.confusion.sum() == len(pairs)
    assert result.confusion.trace() == pytest.approx(result.accuracy * len(pairs))
    assert sum(entry.support for entry in result.classes) == len(pairs)
    assert sum(entry.recall * entry.support for entry in result.classes) == pytest.approx(result.confusion.trace())
    assert sum(entry.count for entry in result.calibration) == len(pairs)
    low, high = result.interval
    assert 0 <= low <= result.accuracy <= high <= 1


def test_the_interval_is_wilsons() -> None:
    # E. B. Wilson's interval for 81 of 263, as printed in R. Newcombe, Statistics in Medicine 17 (1998), table I.
    low, high = wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == 1


def test_mistakes_come_most_confident_first() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.7, 0.3, 0], [0.2, 0.8, 0]], np.float32)
    result = Evaluation(probabilities, np.array([0, 1, 1, 0], np.uint8), NAMES)
    assert result.worst_mistakes(10).tolist() == [3, 2, 1]
    assert result.worst_mistakes(1).tolist() == [3]


def test_the_error_by_chance_is_that_of_a_calibrated_model() -> None:
    """Answers that are right exactly as often as they say exceed the error by chance about once in twenty times."""
    rng = np.random.default_rng(7)
    exceeded = 0
    for _ in range(100):
        confidences = rng.uniform(0.55, 1, 400)
        probabilities = np.stack([confidences, 1 - confidences], axis=1)
        labels = (rng.random(400) > confidences).astype(int)
        result = Evaluation(probabilities, labels, NAMES[:2])
        exceeded += result.calibration_error > result.calibration_chance
    assert 0 <= exceeded <= 12


@given(PAIRS, st.floats(0.34, 1))
def test_the_brier_score_is_the_squared_distance(pairs: list[tuple[int, int]], confidence: float) -> None:
    answers, labels = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    result = evaluate(answers, labels, confidence)
    rest = (1 - confidence) / 2
    right = (1 - confidence) ** 2 + 2 * rest**2
    wrong = confidence**2 + (1 - rest) ** 2 + rest**2
    assert result.brier_score == pytest.approx(right * result.accuracy + wrong * (1 - result.accuracy), abs=1e-6)
    assert 0 <= result.brier_score <= 2


@given(st.integers(1, 10**6), st.data())
def test_wilsons_interval_lies_within_0_and_1_around_the_share(count: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, count))
    low, high = wilson_interval(right, count)
    assert 0 <= low <= right / count <= high <= 1
    turned = wilson_interval(count - right, count)
    assert turned == pytest.approx((1 - high, 1 - low))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 labels"):
        Evaluation(np.zeros((3, 3), np.float32), np.zeros(2, np.uint8), NAMES)
