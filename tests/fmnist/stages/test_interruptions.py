"""Trainings that are killed, paused, canceled, continued, or begin with the weights of another."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from determined.common.api import bindings
from determined.experimental import Determined
from determined.experimental.client import Experiment

from fmnist import registry
from tests.fmnist.conftest import wait_until
from tests.fmnist.stages.services import Stages

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stages"), pytest.mark.timeout(600)]


def kill(stages: Stages, experiment: Experiment) -> None:
    """SIGKILL the training process."""
    training = [
        process
        for process in psutil.process_iter(["cmdline"])
        if "train.py" in (process.info["cmdline"] or []) and _belongs_to(process, experiment.id, stages)
    ]
    assert training, f"no process trains for experiment {experiment.id}"
    for process in training:
        process.send_signal(signal.SIGKILL)


def pause(_: Stages, experiment: Experiment) -> None:
    """Pause, wait until the trial has given its slot back, and activate."""
    experiment.pause()
    wait_until(lambda: "asked to stop" in _log(experiment), "the trial stops for the pause", seconds=100)
    experiment.activate()


def cancel(stages: Stages, experiment: Experiment) -> None:
    """Cancel, wait for the end, and continue."""
    experiment.cancel()
    assert experiment.wait(interval=0.2).value == "STATE_CANCELED"
    stages.det("experiment", "continue", str(experiment.id))


@pytest.mark.parametrize("interrupt", [kill, pause, cancel])
def test_an_interrupted_training_goes_on_from_its_checkpoint(
    stages: Stages, interrupt: Callable[[Stages, Experiment], None]
) -> None:
    experiment = stages.create(epochs=6)
    wait_until(lambda: bool(experiment.list_checkpoints()), "the first checkpoint", seconds=200)
    interrupt(stages, experiment)
    assert experiment.wait(interval=0.5).value == "STATE_COMPLETED"
    (trial,) = experiment.list_trials()
    log = _log(experiment)
    assert log.count("epoch 1 of 6") == 1
    assert log.count("epoch 6 of 6") == 1
    reports = sorted(report.steps_completed for report in trial.iter_metrics("validation"))
    assert reports == [36, 72, 108, 144, 180, 216, 217]
    best = experiment.list_checkpoints(max_results=1)[0]
    assert best.metadata["steps_completed"] == 217
    assert best.metadata["provenance"]["git"] == {"commit": None, "dirty": None}
    assert best.metadata["provenance"]["data_train"]["commit"] == stages.train_commit


def test_a_warm_start_begins_with_the_weights_of_another_trial(stages: Stages, trained: dict[str, Any]) -> None:
    source = trained["checkpoint_uuid"]
    experiment = stages.create(f"--config=searcher.source_checkpoint_uuid={source}", epochs=1, learning_rate=1e-6)
    assert experiment.wait(interval=0.2).value == "STATE_COMPLETED"
    found = bindings.get_GetTrial(registry.session(), trialId=experiment.list_trials()[0].id).trial
    assert found.warmStartCheckpointUuid == source
    (best,) = experiment.list_checkpoints(max_results=1)
    # At this learning rate one epoch moves nothing: the accuracy is the source's.
    assert best.metadata["metrics"]["validation_accuracy"] == pytest.approx(trained["validation_accuracy"], abs=0.03)


def test_a_finished_training_has_nothing_to_continue(stages: Stages, trained: dict[str, Any]) -> None:
    experiment = Determined().get_experiment(trained["experiment_id"])
    before = [checkpoint.uuid for checkpoint in experiment.list_checkpoints()]
    stages.det("experiment", "continue", str(experiment.id))
    assert experiment.wait(interval=0.2).value == "STATE_COMPLETED"
    assert f"searcher.source_checkpoint_uuid={trained['checkpoint_uuid']}" in _log(experiment)
    assert [checkpoint.uuid for checkpoint in experiment.list_checkpoints()] == before


def _log(experiment: Experiment) -> str:
    (trial,) = experiment.list_trials()
    return "".join(trial.iter_logs())


def _belongs_to(process: psutil.Process, experiment_id: int, stages: Stages) -> bool:
    try:
        environment = process.environ()
    except psutil.Error:
        return False
    return environment.get("DET_EXPERIMENT_ID") == str(experiment_id) and environment.get("HOME") == os.environ["HOME"]
