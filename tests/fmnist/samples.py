"""Results of the gate made up by hand, for tests of what is decided and written on their account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from data.validated import ValidatedSplit
from fmnist.production import Named, Production
from fmnist.test import robustness
from fmnist.test.evaluation import Evaluation
from fmnist.test.feedback import Feedback
from fmnist.test.incumbent import Incumbent
from fmnist.test.latency import Latency
from fmnist.test.leakage import Leakage
from fmnist.test.origin import Origin
from fmnist.test.report import Findings, RegisteredVersion
from fmnist.test.settings import Settings
from fmnist.test.splits import SplitFacts
from fmnist.test.verdict import decide
from tests.fmnist.conftest import shapes

NAMES = ("T-shirt/top", "Trouser", "<b>Pullover</b>", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "a|b")
COMMIT = "2" * 40
SERVING: dict[str, Any] = {
    "model": {"parameters": 67082},
    "temperature": 1.0372,
    "provenance": {
        "data_train": {"repo": "fmnist-train", "branch": "master", "commit": "1" * 32},
        "git": {"commit": COMMIT, "dirty": True},
        "source_tree": "3" * 40,
        "experiment_id": 4,
        "trial_id": 5,
        "seed": 6,
        "config_sha256": "7" * 64,
        "lock_sha256": None,
    },
    "metrics": {"validation_accuracy": 0.93, "validation_loss": 0.21},
}
SAME_ORIGIN = Origin(COMMIT, False, COMMIT, "CI_COMMIT_SHA", same_source=True)
NOBODY = Incumbent(Production(None, "nothing is deployed"), reason="no version is known to be in production: nothing")


def answering(
    labels: npt.NDArray[np.integer[Any]],
    wrong: Iterable[int],
    names: tuple[str, ...] = NAMES,
    confidence: float = 0.82,
) -> Evaluation:
    """Answers that are right but at the positions `wrong`, where they are the next class."""
    answers = labels.astype(int)
    at = list(wrong)
    answers[at] = (answers[at] + 1) % len(names)
    probabilities = np.full((len(labels), len(names)), (1 - confidence) / (len(names) - 1), np.float32)
    probabilities[np.arange(len(labels)), answers] = confidence
    return Evaluation(probabilities, labels, names)


def in_production(evaluation: Evaluation | None, reason: str = "") -> Incumbent:
    """Version 2, with these answers."""
    live = Production(Named("fashion-classifier", "2", "u-2"), predictor="default/fashion-classifier/default")
    return Incumbent(live, evaluation, reason)


WRONG = range(20)
"""Two mistakes in each class."""
LENIENT = Settings(threshold=0.5)


def findings(settings: Settings = LENIENT, incumbent: Incumbent = NOBODY, **other: Any) -> Findings:
    """A whole run on 200 images, nine of ten right."""
    images, labels = shapes(200)
    evaluation = answering(labels, WRONG)
    found = Findings(
        settings=settings,
        model=RegisteredVersion("fashion-classifier", 3, "u-3", "2026-01-01", {"owner": "me"}, training()),
        serving=SERVING,
        split=ValidatedSplit(images, labels, "fmnist-test@master", "8" * 32),
        data={
            "train": SplitFacts(
                "fmnist-train@" + "1" * 32, 60000, (6000,) * 10, 43, "fmnist-train-raw@" + "4" * 32, True
            ),
            "test": SplitFacts("fmnist-test@" + "8" * 32, reason="it says nothing"),
        },
        seen=Leakage((0, 10, 11), "9" * 32),
        feedback=Feedback(),
        evaluation=evaluation,
        incumbent=incumbent,
        origin=SAME_ORIGIN,
        robustness=robustness.measure(
            lambda part: np.tile(evaluation.probabilities[:1], (len(part), 1)), images, evaluation
        ),
        latency=Latency(275904, 67082, 500, 0.2, 0.4, 100, 20, 2, 5000.0, (4900.0, 5100.0), "a machine", 0.1),
        verdict=decide(evaluation, incumbent, SAME_ORIGIN, Feedback(), settings),
    )
    return replace(found, **other)


def training() -> dict[str, Any]:
    """What an experiment says of itself."""
    return {"experiment": "e", "description": "A net.", "searcher": "single", "hyperparameters": {"epochs": 7}}


def row(version: int, **other: Any) -> dict[str, Any]:
    """A row of the table of versions, as the report's document holds it."""
    return {
        "version": version,
        "checkpoint_uuid": f"u-{version}",
        "created": "2026-01-02T03:04:05Z",
        "data_train": "fmnist-train@" + "1" * 32,
        "git_commit": COMMIT,
        "git_dirty": False,
        "accuracy": 0.9,
        "calibration_error": 0.01,
        "passed": True,
        "in_production": False,
        "under_test": False,
        "metadata": {},
        **other,
    }
