"""What a classifier's probabilities on a labelled split say about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""

CALIBRATION_BINS = 15
"""As in C. Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599."""


RESAMPLES = 500
"""Draws behind the calibration error's share of chance."""


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
        self, probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]], names: Sequence[str]
    ) -> None:
        if probabilities.shape != (len(labels), len(names)) or not len(labels):
            raise ValueError(f"probabilities {probabilities.shape}, {len(labels)} labels, {len(names)} names")
        self.probabilities = probabilities.astype(np.float64)
        self.labels = labels.astype(np.int64)
        self.names = tuple(names)
        self.answers = probabilities.argmax(axis=1)
        self.confidences = self.probabilities.max(axis=1)

    def part(self, positions: npt.NDArray[np.int64]) -> Evaluation:
        """The same of the images at those positions."""
        return Evaluation(self.probabilities[positions], self.labels[positions], self.names)

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.labels)

    @cached_property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether each answer is right, [n]."""
        right: npt.NDArray[np.bool_] = self.answers == self.labels
        return right

    @cached_property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.right.mean())

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy (E. B. Wilson, JASA 22, 1927)."""
        return wilson_interval(int(self.right.sum()), self.count)

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
    def brier_score(self) -> float:
        """Mean squared distance of probabilities and truth, summed over the classes: 0 to 2 (G. Brier, 1950)."""
        truth = np.eye(len(self.names))[self.labels]
        return float(((self.probabilities - truth) ** 2).sum(axis=1).mean())

    @cached_property
    def calibration(self) -> tuple[CalibrationBin, ...]:
        """The bins of the reliability diagram that hold an answer."""
        counts, confidences, rights = (
            np.bincount(self._bins, weights, CALIBRATION_BINS) for weights in (None, self.confidences, self.right)
        )
        return tuple(
            CalibrationBin(
                low=position / CALIBRATION_BINS,
                high=(position + 1) / CALIBRATION_BINS,
                count=int(counts[position]),
                confidence=float(confidences[position] / counts[position]),
                accuracy=float(rights[position] / counts[position]),
            )
            for position in np.flatnonzero(counts)
        )

    @cached_property
    def calibration_error(self) -> float:
        """Expected calibration error: mean gap of confidence and accuracy over the bins, weighted by their counts."""
        return self._calibration_error(self.right)

    @cached_property
    def calibration_chance(self) -> float:
        """The error that a perfectly calibrated model with these confidences exceeds in 5 of 100 cases.

        By consistency resampling (J. Bröcker and L. Smith, Weather and Forecasting 22, 2007), with a fixed seed.
        """
        rng = np.random.default_rng(0)
        draws = (rng.random(self.count) < self.confidences for _ in range(RESAMPLES))
        return float(np.quantile([self._calibration_error(drawn) for drawn in draws], 0.95))

    @cached_property
    def _bins(self) -> npt.NDArray[np.int64]:
        above = np.ceil(self.confidences * CALIBRATION_BINS).astype(np.int64)
        bins: npt.NDArray[np.int64] = np.clip(above - 1, 0, CALIBRATION_BINS - 1)
        return bins

    def _calibration_error(self, right: npt.NDArray[np.bool_]) -> float:
        gaps = np.bincount(self._bins, self.confidences - right, CALIBRATION_BINS)
        return float(np.abs(gaps).sum() / self.count)

    def worst_mistakes(self, count: int) -> npt.NDArray[np.int64]:
        """Positions of the wrong answers given with the highest confidence, at most `count`, most confident first."""
        wrong = np.flatnonzero(~self.right)
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
