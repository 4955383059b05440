"""Time and accuracy of a recipe: `python -m benchmarks.training.measure --config const.yaml --seeds 1 2 3 4 5`.

Each seed is a whole training off the cluster (start-up, validation and export included); its exported model is
evaluated once on the test split, and the same answers without the test images that have a near-duplicate in train
(pipelines/fmnist_leakage.py).  Each configuration has a results file of its own: they may come from different machines.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from benchmarks.training import runs, setting, trial
from fmnist.test.evaluation import Evaluation
from pipelines import correlation, fmnist_leakage


def main() -> int:
    """Train with all seeds, one after the other, and write the page."""
    parser = setting.parser("measure", __doc__, range(1, 6))
    parser.add_argument("--config", default="const.yaml", choices=configs(), help="default: %(default)s")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="override a hyperparameter")
    arguments = parser.parse_args()
    overrides: dict[str, Any] = dict(setting.QUICK) if arguments.quick else {}
    for override in arguments.set:
        name, _, value = override.partition("=")
        overrides[name] = yaml.safe_load(value)
    if arguments.set and arguments.results is None:
        parser.error("--set measures another recipe: say by --results where that goes")
    code = setting.trained_code(arguments.config)
    common = {"config": arguments.config, "overrides": overrides, "code": code}
    keys = [{**common, "seed": seed} for seed in arguments.seeds]
    return runs.complete(arguments, f"accuracy-{Path(arguments.config).stem}.json", keys, run, {code})


def configs() -> list[str]:
    """The configurations that train one model."""
    documents = {path.name: yaml.safe_load(path.read_text()) for path in setting.SOURCE.glob("*.yaml")}
    return sorted(name for name, document in documents.items() if document["searcher"]["name"] == "single")


def run(data: Path, key: Mapping[str, Any]) -> runs.Values:
    """One training and one look at the test split."""
    done = trial.run(data / "train", key["seed"], key["overrides"], key["config"])
    images, labels = (np.load(data / "test" / f"{name}.npy") for name in ("images", "labels"))
    result = Evaluation(done.model.predict(images), labels, done.model.labels)
    return {
        "seconds": done.seconds,
        "cpu_seconds": done.cpu_seconds,
        "load": done.load,
        "parameters": done.model.metadata["model"]["parameters"],
        "validation_accuracy": done.validation_accuracy,
        "test_accuracy": result.accuracy,
        "test_accuracy_without_near_duplicates": round(float(result.right[unseen(data)].mean()), 5),
        "test_cross_entropy": round(result.cross_entropy, 5),
        "test_calibration_error": round(result.calibration_error, 5),
    }


@functools.cache
def unseen(data: Path) -> npt.NDArray[np.int64]:
    """Positions of the test images that have no near-duplicate in the train split."""
    train, test = (np.load(data / name / "images.npy") for name in ("train", "test"))
    found = correlation.neighbours(test, train, fmnist_leakage.THRESHOLD)
    return np.flatnonzero(found.distances > fmnist_leakage.THRESHOLD)


if __name__ == "__main__":
    sys.exit(main())
