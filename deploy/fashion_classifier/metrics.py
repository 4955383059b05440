"""What the service counts, in the form that Seldon's wrapper takes from `meta.metrics` and exports for Prometheus.

Seldon knows COUNTER, GAUGE and TIMER (milliseconds in, a histogram in seconds out) and adds the deployment's labels.
A prediction of one image adds five entries; a request of many adds one for each class and band of confidence, and for
each band of the outlier score, that occurs.  So both are counted in bands: Seldon's histogram would take an entry for
each image.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Metric = dict[str, Any]

IMAGES = "fashion_classifier_images"
PREDICTIONS = "fashion_classifier_predictions"
OUTLIERS = "fashion_classifier_outlier_scores"
INFERENCE = "fashion_classifier_inference_seconds"
REQUEST = "fashion_classifier_request_seconds"
REFUSALS = "fashion_classifier_refusals"
FEEDBACK = "fashion_classifier_feedback_images"

_BOUNDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
BANDS = tuple(f"{low:g}-{high:g}" for low, high in zip((0, *_BOUNDS), (*_BOUNDS, 1), strict=True))
"""Values of the label `confidence`, the probability of the predicted class; a band includes its lower end."""

_SCORE_BOUNDS = (0.25, 0.5, 0.75, 1, 1.5, 2, 4)
SCORE_BANDS = tuple(f"{low:g}-{high:g}" for low, high in zip((0, *_SCORE_BOUNDS), (*_SCORE_BOUNDS, inf), strict=True))
"""Values of the label `score`; a band includes its higher end, as 1 itself is no outlier."""
_NO_OUTLIER = _SCORE_BOUNDS.index(1)
"""The last band that is none."""


class Seconds(NamedTuple):
    """How long a request took in the model and as a whole."""

    inference: float
    request: float


def predictions(
    probabilities: npt.NDArray[np.float32],
    classes: npt.NDArray[np.intp],
    labels: Sequence[str],
    payload: str,
    seconds: Seconds,
    scores: npt.NDArray[np.float64] | None,
) -> list[Metric]:
    """What one answered request adds: probabilities [n, 10] and their classes [n], outlier scores [n], seconds."""
    bands = [bisect_right(_BOUNDS, each) for each in probabilities.max(axis=1).tolist()]
    cells = Counter(zip(classes.tolist(), bands, strict=True))
    return [
        _metric("COUNTER", IMAGES, len(classes), {"payload": payload}),
        *(
            _metric("COUNTER", PREDICTIONS, count, {"class": labels[index], "confidence": BANDS[band]})
            for (index, band), count in cells.items()
        ),
        *([] if scores is None else _outliers(scores)),
        _metric("TIMER", INFERENCE, round(seconds.inference * 1000, 3), {}),
        _metric("TIMER", REQUEST, round(seconds.request * 1000, 3), {"payload": payload}),
    ]


def _outliers(scores: npt.NDArray[np.float64]) -> list[Metric]:
    return [
        _metric("COUNTER", OUTLIERS, count, {"outlier": str(band > _NO_OUTLIER).lower(), "score": SCORE_BANDS[band]})
        for band, count in Counter(bisect_left(_SCORE_BOUNDS, each) for each in scores.tolist()).items()
    ]


def feedback(answers: Sequence[int], truths: Sequence[int], labels: Sequence[str]) -> list[Metric]:
    """What truths for images add, by class index: accuracy is the share of `correct`, the rest is confusion."""
    return [
        _metric(
            "COUNTER",
            FEEDBACK,
            count,
            {"truth": labels[truth], "answer": labels[answer], "correct": str(answer == truth).lower()},
        )
        for (truth, answer), count in sorted(Counter(zip(truths, answers, strict=True)).items())
    ]


def refusal(status: str) -> list[Metric]:
    """What a request adds that got no prediction: by HTTP status, or gRPC's, as INVALID_ARGUMENT."""
    return [_metric("COUNTER", REFUSALS, 1, {"status": status})]


def _metric(kind: str, key: str, value: float, tags: dict[str, str]) -> Metric:
    return {"type": kind, "key": key, "value": value, "tags": tags}
