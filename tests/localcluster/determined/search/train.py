"""A trial that validates after every short epoch, gets better slowly, and would never end by itself."""

import itertools
import sys
import time

import determined as det
from determined import core

info = det.get_cluster_info()
offset = info.trial.hparams["offset"]
with core.init(tensorboard_mode=core.TensorboardMode.MANUAL) as context:
    first = 1
    if info.latest_checkpoint:
        with context.checkpoint.restore_path(info.latest_checkpoint) as path:
            first = int((path / "epoch").read_text()) + 1
    for epoch in itertools.count(first):
        time.sleep(0.2)
        metrics = {"loss": offset + 1 / epoch, "epochs": epoch}
        context.train.report_validation_metrics(steps_completed=epoch, metrics=metrics)
        if context.preempt.should_preempt():
            with context.checkpoint.store_path({"steps_completed": epoch}) as (path, _):
                (path / "epoch").write_text(str(epoch))
            print(f"preempted after epoch {epoch}", flush=True)
            sys.exit(0)
