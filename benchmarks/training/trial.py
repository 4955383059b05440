"""One training as people start it off the cluster: `train.py` in a process of its own, timed from outside."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.training.setting import SOURCE, load
from fmnist.test import serving


@dataclass(frozen=True)
class Trial:
    """The exported model and what it took.  Seconds count from the start of the process.

    `trained`: until the last epoch was done and validated; `seconds`: until the process had exported the model, checked
    the export and ended; `load` is the machine's load average at the start.
    """

    model: serving.ServingModel
    trained: float
    seconds: float
    cpu_seconds: float
    load: float

    @property
    def validation_accuracy(self) -> float:
        """Share of the validation images that the exported model gets right."""
        return float(self.model.metadata["metrics"]["validation_accuracy"])


def run(train: Path, seed: int, overrides: Mapping[str, Any], config: str = "const.yaml") -> Trial:
    """Train a recipe with these overrides of its hyperparameters; SystemExit with the log if that fails."""
    with checkpoint(train, seed, overrides, config) as (trial, _):
        return trial


@contextmanager
def checkpoint(
    train: Path, seed: int, overrides: Mapping[str, Any], config: str = "const.yaml"
) -> Iterator[tuple[Trial, Path]]:
    """The same, and the folder of the final checkpoint while the context lasts."""
    with tempfile.TemporaryDirectory(prefix="checkpoints-") as checkpoints:
        options = [f"--config={config}", *(f"--set={name}={value}" for name, value in overrides.items())]
        command = [sys.executable, "train.py", f"--data={train}", f"--checkpoints={checkpoints}", f"--seed={seed}"]
        busy, before, started = load(), resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        lines: list[str] = []
        trained = 0.0
        with subprocess.Popen(
            [*command, *options], cwd=SOURCE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if re.search(r"epoch (\d+) of \1\b", line):
                    trained = time.monotonic() - started
        seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        found = re.search(r"final checkpoint (\S+):", "".join(lines))
        if process.returncode != 0 or found is None or not trained:
            raise SystemExit(f"training failed with status {process.returncode}:\n{''.join(lines[-40:])}")
        folder = Path(checkpoints) / found[1]
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        yield Trial(serving.load(folder), round(trained, 2), round(seconds, 2), round(cpu, 1), busy), folder
