"""A trial that says one line of each kind and does what hyperparameters ask: steps, and the step to discard."""

import sys
import time

import determined as det
from determined import core

hparams = det.get_cluster_info().trial.hparams
with core.init(tensorboard_mode=core.TensorboardMode.MANUAL) as context:
    print("INFO: a line with a level", flush=True)
    print("ERROR: a worse line", file=sys.stderr, flush=True)
    context.train.set_metadata({"a": 1, "b": 2})
    context.train.set_metadata({"a": {"c": [3]}})
    print("metadata", context.train.get_metadata(), flush=True)
    print("best so far", context.train.get_experiment_best_validation(), flush=True)
    for step in range(1, hparams["steps"] + 1):
        context.train.report_training_metrics(steps_completed=step, metrics={"loss": 1 / step})
        context.train.report_validation_metrics(steps_completed=step, metrics={"accuracy": step / 10, "epochs": step})
        context.train.report_metrics("inference", steps_completed=step, metrics={"latency": step})
        with context.checkpoint.store_path({"steps_completed": step, "note": "contract"}) as (path, uuid):
            (path / "nested").mkdir()
            (path / "nested" / "weights.bin").write_bytes(bytes(range(256)) * step)
        if step == hparams.get("discard"):
            context.checkpoint.delete(uuid)
        print(f"finished Step {step}", flush=True)
        context.train.report_progress(step / hparams["steps"])
        if context.preempt.should_preempt():
            break
    deadline = time.monotonic() + 60
    while (best := context.train.get_experiment_best_validation()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    print("best at last", best, flush=True)
