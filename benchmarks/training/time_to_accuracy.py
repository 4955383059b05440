"""Seconds to 90, 91, 92 and 93 % test accuracy, beside the recipes that tutorials teach.

    python -m benchmarks.training.time_to_accuracy --seeds 1 2 3 4 5

Protocol.  Seed by seed, our recipe and then each peer, so that a slower hour of the machine slows all.  Every run is a
process of its own on all cores; its clock starts with the process and holds imports, reading the data, compiling and
training.  Evaluation on the test split is off the clock, for all alike; ours has its own validation after each epoch on
the clock.

* Ours anneals its learning rate over a schedule that is set beforehand, so accuracies inside a run mean nothing: it is
  run with schedules of several lengths (the hyperparameter `epochs`, nothing else changes).  Its time to a level is
  that of the shortest schedule with which every seed reaches it.  It trains on 55,000 images and keeps
  5,000 for validation.
* A peer (`tutorial.py`) has a constant rate and is evaluated four times an epoch.  Its time to a level is that of the
  first evaluation that reaches it, seed by seed: the more favourable rule, since one lucky evaluation counts.  It
  has oneDNN's convolutions, which TensorFlow leaves off on most CPUs and train.py switches on, trains on
  all 60,000 images, for the 12 epochs of the example or until it has reached the highest level.

No recipe was tuned on the test split, which is read for this table only; a time to a test accuracy is by its nature
found on it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training import runs, setting, trial, tutorial
from benchmarks.training.levels import LEVELS, OURS

SCHEDULES = (1, 2, 3, 5, 10)
PEERS = ("adadelta", "adam")
RESULTS = "time_to_accuracy.json"


def main() -> int:
    """Measure what the results file does not hold yet, seed by seed, and write the page."""
    parser = setting.parser("time_to_accuracy", __doc__, range(1, 6))
    parser.add_argument("--schedules", type=int, nargs="*", default=list(SCHEDULES), help="epochs of our recipe")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=tutorial.OPTIMIZERS)
    parser.add_argument("--peer-epochs", type=int, default=tutorial.EPOCHS)
    arguments = parser.parse_args()
    wanted = [key for seed in arguments.seeds for key in keys(arguments, seed)]
    quick = setting.QUICK if arguments.quick else {}
    return runs.complete(arguments, RESULTS, wanted, lambda data, key: measure(data, key, quick), codes())


def keys(arguments: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """The runs of one seed, in their order: ours, then the peers."""
    ours, peer = codes()
    return [
        *({"recipe": OURS, "epochs": epochs, "seed": seed, "code": ours} for epochs in arguments.schedules),
        *({"recipe": name, "epochs": arguments.peer_epochs, "seed": seed, "code": peer} for name in arguments.peers),
    ]


def codes() -> tuple[str, str]:
    """What decides a run of ours, and of a peer."""
    return setting.trained_code(), setting.digest(Path(tutorial.__file__))


def measure(data: Path, key: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """One run; `points` has epochs, seconds on the clock and test accuracy of each evaluation."""
    if key["recipe"] == OURS:
        return ours(data, key["seed"], {**overrides, "epochs": key["epochs"]})
    return peer(data, key["recipe"], key["seed"], key["epochs"])


def ours(data: Path, seed: int, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """const.yaml's recipe through train.py; one point, when its schedule has ended."""
    done = trial.run(data / "train", seed, overrides)
    images, labels = np.load(data / "test" / "images.npy"), np.load(data / "test" / "labels.npy")
    accuracy = float((done.model.predict(images).argmax(axis=1) == labels).mean())
    return {
        "points": [{"epochs": overrides["epochs"], "seconds": done.trained, "accuracy": accuracy}],
        "seconds": done.seconds,
        "load": done.load,
        "validation_accuracy": done.validation_accuracy,
    }


def peer(data: Path, name: str, seed: int, epochs: int) -> dict[str, Any]:
    """A recipe of tutorial.py; a point for each of its evaluations."""
    command = [sys.executable, "-m", tutorial.__name__, f"--optimizer={name}", f"--data={data}", f"--seed={seed}"]
    load, started = setting.load(), time.monotonic()
    points, seconds = [], 0.0
    with subprocess.Popen(
        [*command, f"--epochs={epochs}", f"--target={LEVELS[-1]}"],
        cwd=setting.HERE.parents[1],
        env={**os.environ, **setting.ENVIRONMENT},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            look = json.loads(line)
            seconds = round(time.monotonic() - started - look["evaluating"], 2)
            points.append({"epochs": look["epochs"], "seconds": seconds, "accuracy": look["accuracy"]})
    if process.returncode != 0:
        raise SystemExit(f"{name} failed with status {process.returncode}")
    return {"points": points, "seconds": seconds, "load": load}


if __name__ == "__main__":
    sys.exit(main())
