"""What the outlier score finds: `python -m benchmarks.outliers.measure CHECKPOINT TRAIN TEST`.

CHECKPOINT is the folder of a downloaded checkpoint (`det checkpoint download`), TRAIN and TEST those of the validated
splits (`pachctl get file -r fmnist-train@master:/ -o TRAIN`).  The statistics are measured as `make image` does, the
threshold comes from training images alone, and no other set has a part in either.  Results go to results.json beside
this file; README.md and scores.png are made of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from benchmarks.outliers import report, sets
from data.validated import IMAGES, LABELS, arrays
from deploy.fashion_classifier.model import Classifier
from deploy.fashion_classifier.outliers import Detector
from deploy.release import outliers
from deploy.release.registry import verified
from fmnist.hardware import hardware

HERE = Path(__file__).resolve().parent
COUNT = 1000
"""Images of a set, where there are so many."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
RUNS = 500

Floats = npt.NDArray[np.floating[Any]]
Values = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Measure all sets, and write results, page and picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outliers.measure", description=__doc__)
    for name in ("checkpoint", "train", "test"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args(argv)
    artifact = verified(arguments.checkpoint / "serving")
    model = Classifier(artifact.model)
    images, labels = split(arguments.train)
    clothes, _ = split(arguments.test)
    statistics = outliers.fit(images, labels, len(artifact.labels), model)
    measured = Measured(model, Detector(statistics), images[:: outliers.KEPT_BACK], clothes)
    results = {
        "hardware": hardware(),
        "load_before": round(os.getloadavg()[0], 2),
        "parameters": artifact.metadata["model"]["parameters"],
        "validation_accuracy": artifact.metadata["metrics"]["validation_accuracy"],
        "threshold": float(statistics.threshold),
        "microseconds": {str(count): measured.microseconds(count) for count in (1, 100)},
        "clothes": {"the test set": measured.of(clothes), **measured.all(sets.usual(clothes, COUNT))},
        "strange": measured.all(sets.strange(clothes, COUNT)),
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    report.write(HERE)
    return 0


def split(folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images and labels of a validated split."""
    return arrays((folder / IMAGES).read_bytes(), (folder / LABELS).read_bytes())


class Measured:
    """A model and its detector on one set after another, beside `clothes`, the images of the test split.

    To compare with, the model's own doubt (1 less its highest probability) gets a threshold of the same kind: what
    so large a share of the training images that were `kept` back exceed.
    """

    def __init__(self, model: Classifier, detector: Detector, kept: sets.Images, clothes: sets.Images) -> None:
        """Score what the other sets are compared with."""
        self._model, self._detector, self._clothes = model, detector, clothes
        self._limit = float(np.quantile(self._scores(kept)[1], 1 - outliers.SHARE))
        self._usual = self._scores(clothes)

    def all(self, found: dict[str, sets.Images]) -> dict[str, Values]:
        """The results of several sets by name."""
        return {name: self.of(images) for name, images in found.items()}

    def of(self, images: sets.Images) -> Values:
        """Of one set: share found, area under the ROC curve beside the test set, the same of the doubt, quantiles."""
        scores, doubts = self._scores(images)
        return {
            "images": len(images),
            "found": float((scores > 1).mean()),
            "auroc": _auroc(self._usual[0], scores),
            "found_by_doubt": float((doubts > self._limit).mean()),
            "auroc_of_doubt": _auroc(self._usual[1], doubts),
            "quantiles": np.quantile(scores, QUANTILES).round(3).tolist(),
        }

    def microseconds(self, count: int) -> dict[str, float]:
        """Time of one image among `count` in the detector and in the model, medians of RUNS in turns."""
        images = self._clothes[:count]
        classes = self._model.probabilities(images).argmax(axis=1)
        seconds = [
            (_time(lambda: self._detector.scores(images, classes)), _time(lambda: self._model.probabilities(images)))
            for _ in range(max(20, RUNS // count))
        ]
        return dict(zip(("score", "model"), (np.median(seconds, axis=0) / count * 1e6).round(1).tolist(), strict=True))

    def _scores(self, images: sets.Images) -> tuple[Floats, Floats]:
        probabilities = self._model.probabilities(images)
        return self._detector.scores(images, probabilities.argmax(axis=1)), 1 - probabilities.max(axis=1)


def _auroc(usual: Floats, strange: Floats) -> float:
    truth = np.repeat([0, 1], [len(usual), len(strange)])
    return float(roc_auc_score(truth, np.concatenate([usual, strange])))


def _time(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
