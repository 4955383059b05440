"""What the measurements of this folder share: options, the data, and the digest of the code that decides them.

Tuning reads the train split alone, and keeps a part of it for validation.  The test split is read where a page states a
test accuracy, and nothing is chosen by it.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from data import ingest, validated

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "fmnist" / "model" / "src"
QUICK_IMAGES = 1000
QUICK = {"epochs": 1, "batch_size": 50, "width": 8, "late_width": 16, "validation_images": 100}
"""Overrides of const.yaml with which a training takes seconds: a look at the program, not a measurement."""


def parser(module: str, description: str | None, seeds: Sequence[int]) -> argparse.ArgumentParser:
    """The options that all programs of this folder have."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.training.{module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--seeds", type=int, nargs="+", default=list(seeds), help="default: %(default)s")
    made.add_argument("--data", type=Path, help="folder with train/ and test/, each with images.npy and labels.npy")
    made.add_argument(
        "--results", type=Path, help="folder for the results (else this module's; with --quick a new one)"
    )
    made.add_argument("--quick", action="store_true", help=f"on {QUICK_IMAGES} images, to see the program work")
    return made


def results_folder(arguments: argparse.Namespace) -> Path:
    """Where the results go: what a quick run finds never takes the place of a measurement."""
    if arguments.results is not None:
        return Path(arguments.results)
    return Path(tempfile.mkdtemp(prefix="benchmark-")) if arguments.quick else HERE


@contextmanager
def splits(arguments: argparse.Namespace) -> Iterator[Path]:
    """A folder with `train/` and `test/`, each with images.npy (uint8 [n, 28, 28]) and labels.npy (uint8 [n]).

    From `--data`, else from the validated splits of the Pachyderm that PACH_CONFIG names (make data).
    """
    with tempfile.TemporaryDirectory(prefix="splits-") as temporary:
        folder = Path(temporary)
        client = None if arguments.data else ingest.connect()
        for name in ("train", "test"):
            if client is None:
                images, labels = (np.load(arguments.data / name / f"{part}.npy") for part in ("images", "labels"))
            else:
                split = validated.read(client, f"fmnist-{name}@master")
                images, labels = split.images, split.labels
            count = QUICK_IMAGES if arguments.quick else len(images)
            (folder / name).mkdir()
            np.save(folder / name / "images.npy", images[:count])
            np.save(folder / name / "labels.npy", labels[:count])
        yield folder


ENVIRONMENT = {"TF_ENABLE_ONEDNN_OPTS": "1"}
"""What train.py sets for TensorFlow; whatever is compared with it has the same."""


def recipe(config: str = "const.yaml") -> dict[str, Any]:
    """The hyperparameters of an experiment's configuration."""
    values: dict[str, Any] = yaml.safe_load((SOURCE / config).read_text())["hyperparameters"]
    return values


def digest(*programs: Path) -> str:
    """Sixteen hexadecimal digits that change with what these Python files do; comments and layout do not count."""
    content = "\n".join(f"{path.name} {ast.dump(ast.parse(path.read_text()))}" for path in sorted(programs))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def trained_code(config: str = "const.yaml") -> str:
    """What decides a training: the digest of its code, and the hyperparameters of its configuration."""
    settings = json.dumps(recipe(config), sort_keys=True)
    return f"{digest(*SOURCE.glob('*.py'))}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}"


def progress(console: Console) -> Progress:
    """A bar over the runs of a benchmark, with the time they took and what is left."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(TextColumn("{task.description}"), *columns, console=console, transient=True)


def load() -> float:
    """The machine's load average of the last minute: a measurement on a busy machine says so."""
    return round(os.getloadavg()[0], 2)
