"""A trial on the Core API that hyperparameters steer: steps, pause (seconds a step), what goes wrong and when."""

import os
import signal
import sys
import time

import determined as det
from determined import core

info = det.get_cluster_info()
hparams = info.trial.hparams
with core.init(tensorboard_mode=core.TensorboardMode.MANUAL) as context:
    done = 0
    if info.latest_checkpoint:
        with context.checkpoint.restore_path(info.latest_checkpoint) as path:
            done = int((path / "step").read_text())
    print(f"run {info.trial._trial_run_id} starts at step {done}", flush=True)
    print(f"threads {os.environ['OMP_NUM_THREADS']} pach {os.environ.get('PACH_CONFIG')}", file=sys.stderr, flush=True)
    for step in range(done + 1, hparams.get("steps", 2) + 1):
        time.sleep(hparams.get("pause", 0.0))
        if step == hparams.get("invalid_at"):
            raise det.InvalidHP("these hyperparameters cannot work")
        context.train.report_training_metrics(steps_completed=step, metrics={"loss": 1.0 / step})
        context.train.report_validation_metrics(steps_completed=step, metrics={"accuracy": step / 10.0, "epochs": step})
        context.train.report_progress(step / hparams.get("steps", 2))
        with context.checkpoint.store_path({"steps_completed": step, "note": "tiny"}) as (path, _):
            (path / "step").write_text(str(step))
            (path / "nested").mkdir()
            (path / "nested" / "weights.bin").write_bytes(bytes(range(256)) * 64)
        print(f"finished step {step}", flush=True)
        if step == hparams.get("fail_at") and info.trial._trial_run_id <= hparams.get("failing_runs", 1):
            sys.exit(3)
        if step == hparams.get("kill_at") and info.trial._trial_run_id == 1:
            # The harness sends metrics in the background: a process that dies now could take these along.
            deadline = time.monotonic() + 30
            while context.train.get_experiment_best_validation() != step / 10.0:
                assert time.monotonic() < deadline, f"the master does not have the validation of step {step}"
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        if context.preempt.should_preempt():
            print("preempted", flush=True)
            sys.exit(0)
