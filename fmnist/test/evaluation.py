"""What a classifier's probabilities on a labelled split say about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""

CALIBRATION_BINS = 15
"""As in C. Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599."""


@dataclass(frozen=True)
class ClassResult:
    """Results of one class; `support` is the number of its images."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class CalibrationBin:
    """Answers whose confidence lies in (low, high]: how many, their mean confidence, and the share that was right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


class Evaluation:
    """Compares probabilities float [n, classes] with labels [n]; n must be above 0."""

    def __init__(
        self, probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], names: Sequence[str]
    ) -> None:
        if probabilities.shape != (len(labels), len(names)) or not len(labels):
            raise ValueError(f"probabilities {probabilities.shape}, {len(labels)} labels, {len(names)} names")
        self.probabilities = probabilities.astype(np.float64)
        self.labels = labels.astype(np.int64)
        self.names = tuple(names)
        self.answers = probabilities.argmax(axis=1)
        self.confidences = self.probabilities.max(axis=1)

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.labels)

    @cached_property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float((self.answers == self.labels).mean())

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy (E. B. Wilson, JASA 22, 1927)."""
        return wilson_interval(round(self.accuracy * self.count), self.count)

    @cached_property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Number of images by true class (row) and answer (column)."""
        matrix = np.zeros((len(self.names), len(self.names)), np.int64)
        np.add.at(matrix, (self.labels, self.answers), 1)
        return matrix

    @cached_property
    def classes(self) -> tuple[ClassResult, ...]:
        """Precision, recall and F1 of every class; 0 where a denominator is 0."""
        right = self.confusion.diagonal()
        answered, support = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        results = []
        for label, name in enumerate(self.names):
            precision = _ratio(right[label], answered[label])
            recall = _ratio(right[label], support[label])
            f1 = _ratio(2 * right[label], answered[label] + support[label])
            results.append(ClassResult(name, precision, recall, f1, int(support[label])))
        return tuple(results)

    @cached_property
    def cross_entropy(self) -> float:
        """Mean negative log-likelihood of the labels, in nats."""
        of_label = self.probabilities[np.arange(self.count), self.labels]
        return float(-np.log(np.maximum(of_label, np.finfo(np.float32).tiny)).mean())

    @cached_property
    def calibration(self) -> tuple[CalibrationBin, ...]:
        """The bins of the reliability diagram that hold an answer."""
        positions = np.clip(np.ceil(self.confidences * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
        bins = []
        for position in range(CALIBRATION_BINS):
            inside = positions == position
            if inside.any():
                bins.append(
                    CalibrationBin(
                        low=position / CALIBRATION_BINS,
                        high=(position + 1) / CALIBRATION_BINS,
                        count=int(inside.sum()),
                        confidence=float(self.confidences[inside].mean()),
                        accuracy=float((self.answers == self.labels)[inside].mean()),
                    )
                )
        return tuple(bins)

    @cached_property
    def calibration_error(self) -> float:
        """Expected calibration error: mean gap of confidence and accuracy over the bins, weighted by their counts."""
        return sum(entry.count * abs(entry.confidence - entry.accuracy) for entry in self.calibration) / self.count

    def worst_mistakes(self, count: int) -> npt.NDArray[np.int64]:
        """Positions of the wrong answers given with the highest confidence, at most `count`, most confident first."""
        wrong = np.flatnonzero(self.answers != self.labels)
        return wrong[np.argsort(-self.confidences[wrong], kind="stable")][:count]


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share from `right` successes in `count` > 0 trials."""
    share, z2 = right / count, Z_95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z_95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    # At the ends the formula gives 0 and 1 exactly; floating point does not.
    return (centre - half if right else 0.0), (centre + half if right < count else 1.0)


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0
