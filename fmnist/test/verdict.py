"""The gate's decision, one sentence a reason.

Three rules decide: the accuracy reaches the threshold; every class has at least its floor of recall; the version is not
worse than the one in production by more than the margin, with 95 % confidence.  Everything else informs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fmnist.test.comparison import Paired, fallen_classes
from fmnist.test.evaluation import Evaluation
from fmnist.test.feedback import Feedback
from fmnist.test.incumbent import Incumbent
from fmnist.test.origin import Origin
from fmnist.test.settings import Settings

CALIBRATION_LIMIT = 0.01
"""Expected calibration error above which the gate warns.

It does not decide: on few images it is biased upwards, and a new temperature repairs it without changing an answer.
"""


class Rule(StrEnum):
    """What a finding is about."""

    ACCURACY = "accuracy"
    CLASSES = "classes"
    PRODUCTION = "production"
    CALIBRATION = "calibration"
    ORIGIN = "git commit"
    FEEDBACK = "feedback"


class Outcome(StrEnum):
    """What follows from a finding; only FAILED decides."""

    PASSED = "ok"
    FAILED = "FAILED"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One reason."""

    rule: Rule
    outcome: Outcome
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """All findings; the version passes if none failed."""

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether the version may be served."""
        return not any(finding.outcome is Outcome.FAILED for finding in self.findings)

    def of(self, rule: Rule) -> list[Finding]:
        """The findings of one rule."""
        return [finding for finding in self.findings if finding.rule is rule]


def decide(
    evaluation: Evaluation, incumbent: Incumbent, origin: Origin, feedback: Feedback, settings: Settings
) -> Verdict:
    """Judge a version; raises FmnistError where the settings do not fit its classes."""
    return Verdict(
        (
            _accuracy(evaluation, settings.threshold),
            *_classes(evaluation, settings.floors.of(evaluation.names)),
            *_production(evaluation, incumbent, settings.margin),
            _calibration(evaluation),
            Finding(Rule.ORIGIN, Outcome.PASSED if origin.same else Outcome.WARNING, origin.sentence()),
            *_feedback(evaluation, feedback),
        )
    )


def _accuracy(evaluation: Evaluation, threshold: float) -> Finding:
    low, high = evaluation.interval
    reached = evaluation.accuracy >= threshold
    return Finding(
        Rule.ACCURACY,
        Outcome.PASSED if reached else Outcome.FAILED,
        f"accuracy {evaluation.accuracy:.4f} ({evaluation.right.sum()} of {evaluation.count} images; 95 % interval "
        f"{low:.4f} to {high:.4f}) {'reaches' if reached else 'is below'} the threshold {threshold:.4f}",
    )


def _classes(evaluation: Evaluation, floors: tuple[float, ...]) -> Iterator[Finding]:
    tested = [pair for pair in zip(evaluation.classes, floors, strict=True) if pair[0].support]
    for result in evaluation.classes:
        if not result.support:
            yield Finding(Rule.CLASSES, Outcome.WARNING, f"the test split has no {result.name}: that class is untested")
    failed = [(result, floor) for result, floor in tested if result.recall < floor]
    for result, floor in failed:
        right = round(result.recall * result.support)
        words = f"recall {result.recall:.4f} ({right} of {result.support} images) is below its floor {floor:.4f}"
        yield Finding(Rule.CLASSES, Outcome.FAILED, f"{result.name}: {words}")
    if not failed:
        nearest, floor = min(tested, key=lambda pair: pair[0].recall - pair[1])
        words = f"nearest is {nearest.name} with {nearest.recall:.4f} against {floor:.4f}"
        yield Finding(Rule.CLASSES, Outcome.PASSED, f"no class has a recall below its floor; {words}")


def _production(evaluation: Evaluation, incumbent: Incumbent, margin: float) -> Iterator[Finding]:
    old = incumbent.evaluation
    if old is None:
        outcome = Outcome.NOTE if incumbent.expected else Outcome.WARNING
        yield Finding(Rule.PRODUCTION, outcome, f"{incumbent.reason}; only the absolute thresholds decide")
        return
    paired = Paired.of(evaluation.right, old.right)
    yield Finding(
        Rule.PRODUCTION,
        Outcome.FAILED if paired.worse_by_more_than(margin) else Outcome.PASSED,
        f"{_relation(paired, margin)} version {incumbent.version} in production: {_numbers(paired, evaluation, old)}",
    )
    for label, fallen in fallen_classes(evaluation.right, old.right, evaluation.labels, len(evaluation.names)):
        yield Finding(
            Rule.PRODUCTION,
            Outcome.WARNING,
            f"{evaluation.names[label]}: recall {evaluation.classes[label].recall:.4f} is significantly below that of "
            f"production, {old.classes[label].recall:.4f} ({fallen.lost} images lost, {fallen.gained} gained)",
        )


def _relation(paired: Paired, margin: float) -> str:
    low, high = paired.interval
    if paired.worse_by_more_than(margin):
        return f"with 95 % confidence worse, by more than the margin {margin:.4f}, than"
    if high < 0:
        return f"with 95 % confidence worse, but not by more than the margin {margin:.4f}, than"
    return "with 95 % confidence better than" if low > 0 else "not significantly different from"


def _numbers(paired: Paired, new: Evaluation, old: Evaluation) -> str:
    low, high = paired.interval
    return (
        f"accuracy {new.accuracy:.4f} against {old.accuracy:.4f} on the same images, difference "
        f"{paired.difference:+.4f} (95 % interval {low:+.4f} to {high:+.4f}; {paired.gained} images gained, "
        f"{paired.lost} lost; exact McNemar test p = {paired.p_value:.2g})"
    )


def _calibration(evaluation: Evaluation) -> Finding:
    error, chance = evaluation.calibration_error, evaluation.calibration_chance
    within, limit = error <= CALIBRATION_LIMIT, f"{CALIBRATION_LIMIT:.4f}"
    words = f"a perfectly calibrated model stays below {chance:.4f} on these images in 95 of 100 cases"
    return Finding(
        Rule.CALIBRATION,
        Outcome.PASSED if within else Outcome.WARNING,
        f"expected calibration error {error:.4f} is {'within' if within else 'above'} {limit} ({words})",
    )


def _feedback(evaluation: Evaluation, feedback: Feedback) -> Iterator[Finding]:
    if feedback.reference is None:
        return
    trained = f"trained on the feedback {feedback.reference}"
    if feedback.positions is None:
        words = f"{trained}, and whether that holds test images is unknown: {feedback.reason}"
        yield Finding(Rule.FEEDBACK, Outcome.WARNING, words)
    elif feedback.positions:
        others = np.delete(evaluation.right, feedback.positions)
        without = f"; the accuracy on the others is {others.mean():.4f}" if len(others) else ""
        words = f"{trained}, which holds {len(feedback.positions)} of the {evaluation.count} test images{without}"
        yield Finding(Rule.FEEDBACK, Outcome.WARNING, words)
    else:
        yield Finding(Rule.FEEDBACK, Outcome.PASSED, f"{trained}, which holds no test image")
