"""Time and accuracy of the const.yaml recipe: `python -m benchmarks.training.measure --seeds 1 2 3`.

Reads both validated splits from the Pachyderm of PACH_CONFIG (make data).  Each seed is a whole training off the
cluster (start-up, validation and export included); its exported model is evaluated once on the test split.  Results go
to results.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.hardware import hardware
from data import ingest, validated
from fmnist.test import serving
from fmnist.test.evaluation import Evaluation
from fmnist.test.settings import TEST_DATA

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "fmnist" / "model" / "src"


def main() -> int:
    """Run all seeds one after the other and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.measure", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="override a hyperparameter")
    arguments = parser.parse_args()
    split = validated.read(ingest.connect(), TEST_DATA)
    runs = []
    for seed in arguments.seeds:
        runs.append(run(split, seed, arguments.set))
        print(json.dumps(runs[-1]), flush=True)
    accuracies = [entry["test_accuracy"] for entry in runs]
    results = {
        "hardware": hardware(),
        "software": {"python": platform.python_version(), "tensorflow-cpu": version("tensorflow-cpu")},
        "overrides": arguments.set,
        "runs": runs,
        "test_accuracy_mean": statistics.mean(accuracies),
        "test_accuracy_std": statistics.stdev(accuracies) if len(runs) > 1 else None,
        "seconds_mean": statistics.mean(entry["seconds"] for entry in runs),
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps({key: value for key, value in results.items() if key != "runs"}, indent=2))
    return 0


def run(split: validated.ValidatedSplit, seed: int, overrides: list[str]) -> dict[str, Any]:
    """One training and one look at the test split; `load` is the machine's load average when it started."""
    with tempfile.TemporaryDirectory() as checkpoints:
        options = [f"--set={override}" for override in overrides]
        command = [sys.executable, "train.py", f"--checkpoints={checkpoints}", f"--seed={seed}"]
        load, before, started = os.getloadavg()[0], resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run([*command, *options], cwd=SOURCE, capture_output=True, text=True, check=False)
        seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        found = re.search(r"final checkpoint (\S+):", done.stdout)
        if done.returncode != 0 or found is None:
            raise SystemExit(f"training failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        model = serving.load(Path(checkpoints) / found[1])
    result = Evaluation(model.predict(split.images), split.labels, model.labels)
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "load": round(load, 2),
        "parameters": model.metadata["model"]["parameters"],
        "validation_accuracy": model.metadata["metrics"]["validation_accuracy"],
        "test_accuracy": result.accuracy,
        "test_cross_entropy": round(result.cross_entropy, 5),
        "test_calibration_error": round(result.calibration_error, 5),
    }


if __name__ == "__main__":
    sys.exit(main())
