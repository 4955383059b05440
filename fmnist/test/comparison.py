"""Two models on the same images: whose mistakes differ, by how much, and whether that can be chance.

Only images that exactly one of the two gets right tell them apart (Q. McNemar, Psychometrika 12, 1947); given their
number, how many of them the new one gets right is binomial.  Test and interval are the exact ones of that binomial, so
that they never contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import stats

Right = npt.NDArray[np.bool_]
"""Whether each answer is right, [n]."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Paired:
    """A new and an old model on `images` images; `gained` only the new one gets right, `lost` only the old one."""

    images: int
    gained: int
    lost: int

    @classmethod
    def of(cls, new: Right, old: Right) -> Paired:
        """From the answers to the same images in the same order; raises ValueError for different numbers of them."""
        if new.shape != old.shape or not len(new):
            raise ValueError(f"answers to {len(new)} and {len(old)} images cannot be paired")
        return cls(len(new), int((new & ~old).sum()), int((old & ~new).sum()))

    @property
    def difference(self) -> float:
        """Accuracy of the new one minus that of the old one."""
        return (self.gained - self.lost) / self.images

    @cached_property
    def p_value(self) -> float:
        """Two-sided exact McNemar test: how probable a difference at least this large is between equals."""
        if not self.gained + self.lost:
            return 1.0
        return float(stats.binomtest(self.gained, self.gained + self.lost).pvalue)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference: Clopper and Pearson's (Biometrika 26, 1934) of the share of gained images.

        Given the number of images that decide: how that number varies is not in it, which makes it a little narrow
        far from 0.  It excludes 0 exactly where the p-value is below 0.05.
        """
        decided = self.gained + self.lost
        if not decided:
            return 0.0, 0.0
        share = stats.binomtest(self.gained, decided).proportion_ci(CONFIDENCE, method="exact")
        return (2 * share.low - 1) * decided / self.images, (2 * share.high - 1) * decided / self.images

    def worse_by_more_than(self, margin: float) -> bool:
        """Whether the whole interval lies below -margin; with margin 0: whether the new one is significantly worse."""
        return self.interval[1] < -margin


def fallen_classes(new: Right, old: Right, labels: npt.NDArray[np.int64], classes: int) -> Sequence[tuple[int, Paired]]:
    """The classes (and their images) that the new model is significantly worse on, at 5 % for all of them together.

    The significance level is divided by the number of classes (Bonferroni), because that many are looked at.
    """
    fallen = []
    for label in range(classes):
        inside = labels == label
        if inside.any():
            paired = Paired.of(new[inside], old[inside])
            if paired.difference < 0 and paired.p_value * classes < 1 - CONFIDENCE:
                fallen.append((label, paired))
    return fallen
