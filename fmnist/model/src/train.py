"""Trains the classifier under Determined: `det experiment create const.yaml .` runs this file once a trial.

Plain Keras with Determined's own callback, which reports training metrics, saves a checkpoint every epoch, stops for a
pause and resumes.  Added here: a validation that reports before the checkpoint is saved, and a last checkpoint with the
best weights and the exported model.  Off the cluster `python train.py` does the same (`--help` says with what).
"""

from __future__ import annotations

import logging
import os
import sys
import time

import determined as det
import task as tasks
from errors import TrainingError

log = logging.getLogger("train")


def main() -> int:
    """Run the trial; the exit status tells Determined whether to try again."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stdout)
    for chatty in ("absl", "tensorflow"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow leaves oneDNN's convolutions off on most CPUs; they are faster there too (benchmarks/training).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        task = tasks.load()
        log.info("%d images, seed %d, data %s", len(task.data.train), task.seed, task.provenance["data_train"])
        if task.checkpoint_storage:
            log.info("checkpoints go to %s", task.checkpoint_storage)
        if task.finished:
            log.info("the final checkpoint %s is already there: nothing left to do", task.resume)
            log.info("a new experiment trains on from it: --config searcher.source_checkpoint_uuid=%s", task.resume)
            return 0
        given, cores = os.environ.get("TF_NUM_INTRAOP_THREADS"), len(os.sched_getaffinity(0))
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads(given, cores, task.hyperparameters.towers))
        # Importing TensorFlow takes seconds: whatever can fail without it has failed by now.
        from training import Training

        with det.core.init(checkpoint_storage=task.checkpoint_storage) as core_context:
            started = time.monotonic()
            Training(task, core_context).run()
            log.info("done after %.0f s", time.monotonic() - started)
    except TrainingError as error:
        log.error("%s: %s", type(error).__name__, error)
        return 1
    return 0


def threads(given: str | None, cores: int, towers: int) -> int:
    """Threads that one operation may have when `towers` of them run at a time: TF_NUM_INTRAOP_THREADS.

    `given` is what the variable held, the trial's share of the machine; TensorFlow takes nothing or 0 for all cores.
    """
    share = int(given) if given and given.isdecimal() else 0
    return max(1, (share or cores) // towers)


if __name__ == "__main__":
    sys.exit(main())
