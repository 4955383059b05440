"""The trial itself inside this process: model, batches and optimiser of fmnist/model/src, not a copy of them."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.training.setting import SOURCE


def training(options: list[str], checkpoints: str) -> Any:
    """The Training that `train.py OPTIONS` would run, before its first step."""
    # The training code is uploaded as it is and imports its neighbours by their bare names.
    sys.path.insert(0, str(SOURCE))
    import determined as det
    import task as tasks
    import train

    task = tasks.load([*options, f"--checkpoints={checkpoints}"])
    train.share_cores(task.hyperparameters.towers)
    from training import Training

    with det.core.init(checkpoint_storage=checkpoints) as context:
        return Training(task, context)
