"""The trial itself inside this process: model, batches and optimiser of fmnist/model/src, not a copy of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.training.setting import SOURCE


def training(options: list[str], checkpoints: str) -> Any:
    """The Training that `train.py OPTIONS` would run, before its first step."""
    _on_the_path()
    import determined as det
    import task as tasks
    import train

    task = tasks.load([*options, f"--checkpoints={checkpoints}"])
    with det.core.init(checkpoint_storage=checkpoints) as context, _threads(train, task.hyperparameters.towers):
        from training import Training

        return Training(task, context)


def splits(train: Path, checkpoint: Path) -> tuple[Any, Any]:
    """What the trial of `checkpoint` trained on and what it validated on, Examples of the split in the folder `train`.

    Without the feedback, which nothing here is trained with.
    """
    _on_the_path()
    import dataset
    import source

    settings = json.loads((checkpoint / "metadata.json").read_text())["hyperparameters"]
    classes = len(json.loads((checkpoint / "serving" / "labels.json").read_text()))
    contents = source.read_folder(train)
    examples = dataset.read_examples(contents[source.IMAGES], contents[source.LABELS], classes)
    return dataset.split(examples, settings["validation_images"], settings["split_seed"], classes)


def _on_the_path() -> None:
    # The training code is uploaded as it is and imports its neighbours by their bare names.
    if str(SOURCE) not in sys.path:
        sys.path.insert(0, str(SOURCE))


@contextmanager
def _threads(train: Any, towers: int) -> Iterator[None]:
    """What train.py sets for TensorFlow, which reads it at its first tensor; later processes inherit none of it."""
    given = os.environ.get("TF_NUM_INTRAOP_THREADS")
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(train.threads(given, len(os.sched_getaffinity(0)), towers))
    try:
        yield
    finally:
        if given is None:
            del os.environ["TF_NUM_INTRAOP_THREADS"]
        else:
            os.environ["TF_NUM_INTRAOP_THREADS"] = given
