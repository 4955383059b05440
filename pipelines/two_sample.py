"""Two-sample tests of a batch of images against a reference, and the decision: drift only if both clear and large.

With thousands of images every difference is significant, and with a hundred any effect is large by chance.  So a test
counts only if its p value, corrected for the number of tests, is at most ALPHA and its effect reaches LEAST.

| test | statistic and p value | effect, 0 for none |
|---|---|---|
| class mix, where labels are given | G-test of the counts | share of the batch in other classes than expected |
| each statistic of the images | Kolmogorov-Smirnov | largest distance of the two distribution functions |
| classifier (Lopez-Paz and Oquab, arXiv 1610.06545) | Mann-Whitney U of held-out scores | AUC - 0.5 |

Correction: Benjamini and Yekutieli, valid for tests that depend on each other as these do.

Measured on the published test set; a batch is drawn from it and the rest is the reference (tests repeat most of it):

| batch | found in |
|---|---|
| fresh, labelled, n = 200, 500, 1,000 | 0 of 150 |
| inverted; mirrored; transposed; moved by one pixel or more; 2x2 blur; a 6x6 hole in the middle; n = 200 | all |
| noise on all pixels, standard deviation 0.5 grey values or more, n = 200 | all |
| noise on the article only, 10 / 5 grey values | n = 200: 9 / 1 of 10; n = 1,000: all / 0 |
| 10 % darker / 10 % brighter | n = 200: all / 9 of 10; n = 1,000: all |
| 5 % darker / 5 % brighter | n = 200: 3 / 3 of 10; n = 1,000: all / 3 of 10 |
| one image in five / in ten inverted | n = 200: all / 1 of 10; n = 1,000, in ten: all |
| one class missing, labelled, n = 200 | all |
| one class twice / three times as frequent, labelled | n = 200: 2 / 8 of 10; n = 500: 4 / 10; n = 1,000: all |
| one class missing, no labels | n = 200, 500, 1,000: 0, 6 and 6 of 15 |

So labels are worth giving, and a weak change of the class mix or of noise inside the article goes unseen.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipelines import image_statistics
from pipelines.files import Labels, Pixels

ALPHA = 0.01
LEAST = {"class mix": 0.05, "classifier": 0.05}
LEAST_OF_STATISTIC = 0.1
HALF = 5000
"""Most images of either side that the classifier learns from, and most that it is asked about."""
CELL = 2
"""The classifier sees means of 2x2 pixels: 196 numbers an image."""


@dataclass(frozen=True)
class Test:
    """One test: `p` is corrected for all tests made; `drifted` says whether it is clear and large enough."""

    name: str
    method: str
    statistic: float
    p: float
    effect: float
    least_effect: float

    @property
    def drifted(self) -> bool:
        """Whether this test alone makes the batch drifted."""
        return self.p <= ALPHA and self.effect >= self.least_effect


def compare(images: Pixels, labels: Labels | None, reference: Pixels, reference_labels: Labels) -> list[Test]:
    """All tests of a batch uint8 [n, 28, 28] with its labels uint8 [n], if it has any, against the reference.

    One image has no second half to ask a classifier about; that test is then left out.
    """
    raw = _statistics(images, reference)
    if labels is not None:
        raw.insert(0, _class_mix(labels, reference_labels))
    if min(len(images), len(reference)) > 1:
        raw.append(_classifier(images, reference))
    corrected = stats.false_discovery_control([test.p for test in raw], method="by")
    return [
        Test(test.name, test.method, test.statistic, float(p), test.effect, test.least_effect)
        for test, p in zip(raw, corrected, strict=True)
    ]


def _class_mix(labels: Labels, reference: Labels) -> Test:
    counts = np.array([np.bincount(each, minlength=256) for each in (labels, reference)])
    counts = counts[:, counts.sum(axis=0) > 0]
    shares = counts / counts.sum(axis=1, keepdims=True)
    moved = float(np.abs(shares[0] - shares[1]).sum() / 2)
    found = stats.chi2_contingency(counts, correction=False, lambda_="log-likelihood")
    return Test("class mix", "G-test", float(found.statistic), float(found.pvalue), moved, LEAST["class mix"])


def _statistics(images: Pixels, reference: Pixels) -> list[Test]:
    ours, theirs = image_statistics.measure(images), image_statistics.measure(reference)
    tests = []
    for name in image_statistics.NAMES:
        found = stats.ks_2samp(ours[name], theirs[name], method="asymp")
        distance = float(found.statistic)
        tests.append(Test(name, "Kolmogorov-Smirnov", distance, float(found.pvalue), distance, LEAST_OF_STATISTIC))
    return tests


def _classifier(images: Pixels, reference: Pixels) -> Test:
    """How well a linear classifier, shown one half of both samples, tells the other halves apart."""
    order = np.random.default_rng(0)
    (seen, asked), (reference_seen, reference_asked) = _halves(images, order), _halves(reference, order)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, class_weight="balanced", max_iter=100))
    truth = np.repeat([1, 0], [len(seen), len(reference_seen)])
    with warnings.catch_warnings():
        # A classifier that has not learnt all it could still gives a valid test.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.concatenate([seen, reference_seen]), truth)
    ours, theirs = model.decision_function(asked), model.decision_function(reference_asked)
    if np.ptp(np.concatenate([ours, theirs])) == 0:
        # Nothing to learn from, such as images of one grey value: every image is as likely from either side.
        return Test("classifier", "Mann-Whitney U", 0.5, 1.0, 0.0, LEAST["classifier"])
    found = stats.mannwhitneyu(ours, theirs, alternative="greater", method="asymptotic")
    area = float(found.statistic) / (len(ours) * len(theirs))
    return Test("classifier", "Mann-Whitney U", area, float(found.pvalue), max(area - 0.5, 0.0), LEAST["classifier"])


def _halves(images: Pixels, random: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Two disjoint random halves as points float32 [k, 196]."""
    order = random.permutation(len(images))
    middle = len(images) // 2
    count, height, width = images.shape
    cells = images.reshape(count, height // CELL, CELL, width // CELL, CELL).mean(axis=(2, 4), dtype=np.float32)
    points = cells.reshape(count, -1)
    return points[order[:middle][:HALF]], points[order[middle:][:HALF]]
