"""What the gate decides: a worse model is refused, a tie passes, a weak class fails, and it always says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.errors import FmnistError
from fmnist.test.evaluation import Evaluation
from fmnist.test.feedback import Feedback
from fmnist.test.incumbent import Incumbent
from fmnist.test.origin import Origin
from fmnist.test.settings import Floors, Settings
from fmnist.test.verdict import Outcome, Rule, Verdict, decide
from tests.fmnist.samples import NAMES, NOBODY, SAME_ORIGIN, answering, in_production

LABELS = np.arange(1000) % 10
LOW = Floors(0.5)
GOOD = answering(LABELS, [])
NO_FEEDBACK = Feedback()


def judge(
    evaluation: Evaluation,
    incumbent: Incumbent = NOBODY,
    origin: Origin = SAME_ORIGIN,
    threshold: float = 0.5,
    floors: Floors = LOW,
    margin: float = 0.0,
    feedback: Feedback = NO_FEEDBACK,
) -> Verdict:
    settings = Settings(threshold=threshold, floors=floors, margin=margin)
    return decide(evaluation, incumbent, origin, feedback, settings)


def said(verdict: Verdict, rule: Rule) -> tuple[Outcome, str]:
    finding = verdict.of(rule)[0]
    return finding.outcome, finding.sentence


@given(st.lists(st.integers(0, 999), unique=True, max_size=999), st.floats(0, 1))
def test_without_the_other_rules_the_verdict_is_the_threshold(wrong: Sequence[int], threshold: float) -> None:
    evaluation = answering(LABELS, wrong)
    verdict = judge(evaluation, threshold=threshold, floors=Floors(0.0))
    assert verdict.passed is (evaluation.accuracy >= threshold)
    assert f"{threshold:.4f}" in verdict.of(Rule.ACCURACY)[0].sentence


def test_a_class_below_its_floor_fails_although_the_accuracy_passes() -> None:
    evaluation = answering(LABELS, np.flatnonzero(LABELS == 6)[:40])
    verdict = judge(evaluation, threshold=0.9, floors=Floors(0.7))
    assert not verdict.passed
    assert said(verdict, Rule.ACCURACY)[0] is Outcome.PASSED
    expected = "Shirt: recall 0.6000 (60 of 100 images) is below its floor 0.7000"
    assert said(verdict, Rule.CLASSES) == (Outcome.FAILED, expected)
    assert judge(evaluation, threshold=0.9, floors=Floors(0.7, {"Shirt": 0.6})).passed


def test_the_nearest_class_is_the_one_nearest_to_its_own_floor() -> None:
    evaluation = answering(LABELS, np.flatnonzero(LABELS == 6)[:20])
    outcome, sentence = said(judge(evaluation, floors=Floors(0.7, {"Bag": 0.99})), Rule.CLASSES)
    assert outcome is Outcome.PASSED
    assert "nearest is Bag with 1.0000 against 0.9900" in sentence


def test_a_floor_of_an_unknown_class_is_refused() -> None:
    with pytest.raises(FmnistError, match="CLASS_FLOOR names Hat; the model's classes are T-shirt/top, Trouser"):
        judge(GOOD, floors=Floors(0.7, {"Hat": 0.5}))


def test_a_class_without_images_is_untested_and_fails_nothing() -> None:
    labels = np.arange(900) % 9
    verdict = judge(answering(labels, []), floors=Floors(0.7))
    assert verdict.passed
    assert said(verdict, Rule.CLASSES) == (Outcome.WARNING, "the test split has no a|b: that class is untested")


def test_a_significantly_worse_version_is_refused() -> None:
    verdict = judge(answering(LABELS, range(30)), in_production(answering(LABELS, range(25, 35))))
    assert not verdict.passed
    outcome, sentence = said(verdict, Rule.PRODUCTION)
    assert outcome is Outcome.FAILED
    assert sentence.startswith(
        "with 95 % confidence worse, by more than the margin 0.0000, than version 2 in production"
    )
    assert "accuracy 0.9700 against 0.9900 on the same images, difference -0.0200" in sentence
    assert "5 images gained, 25 lost" in sentence


def test_a_margin_accepts_a_loss_that_may_be_that_small() -> None:
    worse, live = answering(LABELS, range(30)), in_production(answering(LABELS, range(25, 35)))
    verdict = judge(worse, live, margin=0.01)
    assert verdict.passed
    assert "worse, but not by more than the margin 0.0100" in said(verdict, Rule.PRODUCTION)[1]
    assert not judge(worse, live, margin=0.005).passed


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (range(20, 40), "not significantly different from version 2"),
        (range(20, 44), "not significantly different from version 2"),
        (range(0), "with 95 % confidence better than version 2"),
    ],
)
def test_a_tie_a_difference_by_chance_and_a_better_version_pass(wrong: range, words: str) -> None:
    verdict = judge(answering(LABELS, wrong), in_production(answering(LABELS, range(20))))
    assert verdict.passed
    outcome, sentence = said(verdict, Rule.PRODUCTION)
    assert (outcome, sentence.split(" in production")[0]) == (Outcome.PASSED, words)


def test_a_class_that_fell_is_a_warning_even_where_the_whole_is_better() -> None:
    old = answering(LABELS, np.flatnonzero(LABELS != 8)[:100])
    new = answering(LABELS, np.flatnonzero(LABELS == 8)[:20])
    verdict = judge(new, in_production(old))
    assert verdict.passed
    better, fallen = verdict.of(Rule.PRODUCTION)
    assert better.outcome is Outcome.PASSED
    assert fallen.outcome is Outcome.WARNING
    assert "Bag: recall 0.8000 is significantly below that of production, 1.0000 (20 images lost, 0" in fallen.sentence


def test_nothing_in_production_is_said_and_only_the_thresholds_decide() -> None:
    verdict = judge(GOOD, NOBODY)
    assert verdict.passed
    expected = "no version is known to be in production: nothing; only the absolute thresholds decide"
    assert said(verdict, Rule.PRODUCTION) == (Outcome.NOTE, expected)
    assert not judge(answering(LABELS, range(600)), NOBODY).passed


def test_a_comparison_that_should_have_been_possible_is_a_warning() -> None:
    gone = replace(in_production(None, "its checkpoint is gone"), expected=False)
    assert said(judge(GOOD, gone), Rule.PRODUCTION)[0] is Outcome.WARNING


def test_calibration_warns_and_does_not_decide() -> None:
    sure = answering(LABELS, range(100), confidence=0.999)
    verdict = judge(sure)
    assert verdict.passed
    outcome, sentence = said(verdict, Rule.CALIBRATION)
    assert outcome is Outcome.WARNING
    assert "expected calibration error 0.0990 is above 0.0100" in sentence
    calm = answering(LABELS, range(100), confidence=0.9)
    assert said(judge(calm), Rule.CALIBRATION)[0] is Outcome.PASSED


def test_every_rule_says_something() -> None:
    assert {finding.rule for finding in judge(GOOD, feedback=Feedback("f@1")).findings} == set(Rule)
    assert len(NAMES) == len(GOOD.names)


@pytest.mark.parametrize(
    ("feedback", "outcome", "words"),
    [
        (Feedback("f@1", ()), Outcome.PASSED, "trained on the feedback f@1, which holds no test image"),
        (
            Feedback("f@1", (0, 1)),
            Outcome.WARNING,
            "trained on the feedback f@1, which holds 2 of the 1000 test images; the accuracy on the others is 0.9990",
        ),
        (
            Feedback("f@1", None, "f@1: gone"),
            Outcome.WARNING,
            "trained on the feedback f@1, and whether that holds test images is unknown: f@1: gone",
        ),
    ],
)
def test_test_images_in_the_feedback_are_said_and_do_not_decide(
    feedback: Feedback, outcome: Outcome, words: str
) -> None:
    verdict = judge(answering(LABELS, [0, 5]), feedback=feedback)
    assert said(verdict, Rule.FEEDBACK) == (outcome, words)
    assert verdict.passed
    assert not judge(GOOD).of(Rule.FEEDBACK)
