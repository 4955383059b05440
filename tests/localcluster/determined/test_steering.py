"""Queue, pause, activate, cancel, kill at every stage of an experiment; restarts, slots, invalid hyperparameters."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from determined.common import api
from determined.common.api import bindings, errors

from localcluster.determined.agent import processes

from .conftest import Cluster, eventually

ENDLESS = {"steps": 1000, "pause": 0.1}
DEAF = "echo it runs; sleep 1000"
"""An entrypoint that never asks whether it is preempted."""


def _state(session: api.Session, experiment: int) -> str:
    return str(bindings.get_GetExperiment(session, experimentId=experiment).experiment.state.value)


@pytest.mark.slow
def test_pause_and_activate_go_on_where_the_trial_was(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(session, hyperparameters={"steps": 6, "pause": 0.2})
    trial = cluster.trial(session, experiment).id
    cluster.wait_for_log(session, trial, "finished step 2")
    bindings.post_PauseExperiment(session, id=experiment)
    assert _state(session, experiment) == "STATE_PAUSED"
    cluster.wait_for_log(session, trial, "preempted")
    bindings.post_ActivateExperiment(session, id=experiment)
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    text = cluster.logs(session, trial)
    assert "run 2 starts at step 0" not in text
    assert [text.count(f"finished step {step}\n") for step in range(1, 7)] == [1] * 6
    assert bindings.get_GetTrial(session, trialId=trial).trial.restarts == 0


def test_kill_ends_at_once_and_cancel_lets_the_trial_checkpoint(cluster: Cluster, session: api.Session) -> None:
    killed = cluster.create(session, hyperparameters=ENDLESS)
    canceled = cluster.create(session, hyperparameters=ENDLESS)
    queued = cluster.create(session, hyperparameters=ENDLESS)
    trials = {number: cluster.trial(session, number).id for number in (killed, canceled, queued)}
    cluster.wait_for_log(session, trials[killed], "finished step 1")
    cluster.wait_for_log(session, trials[canceled], "finished step 1")
    assert _state(session, queued) == "STATE_QUEUED"
    bindings.post_CancelExperiment(session, id=queued)
    assert _state(session, queued) == "STATE_CANCELED"
    bindings.post_KillExperiment(session, id=killed)
    bindings.post_CancelExperiment(session, id=canceled)
    assert cluster.wait(session, killed) == cluster.wait(session, canceled) == "STATE_CANCELED"
    assert "preempted" not in cluster.logs(session, trials[killed])
    assert "preempted" in cluster.logs(session, trials[canceled])
    with pytest.raises(errors.APIException, match="terminal state CANCELED"):
        bindings.post_PauseExperiment(session, id=killed)
    eventually(lambda: not cluster.allocations(), "nothing is left of the runs")


@pytest.mark.slow
def test_a_killed_trial_is_canceled(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(session, hyperparameters=ENDLESS)
    trial = cluster.trial(session, experiment).id
    cluster.wait_for_log(session, trial, "finished step 1")
    cluster.det("trial", "kill", str(trial))
    assert cluster.wait(session, experiment) == "STATE_CANCELED"
    assert cluster.trial(session, experiment).state.value == "STATE_CANCELED"


@pytest.mark.slow
def test_a_failing_trial_restarts_from_its_newest_checkpoint(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(session, hyperparameters={"steps": 4, "fail_at": 2})
    trial = cluster.trial(session, experiment).id
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    text = cluster.logs(session, trial)
    assert "ended with exit code 3" in text
    assert "run 2 starts at step 2" in text
    assert bindings.get_GetTrial(session, trialId=trial).trial.restarts == 1


@pytest.mark.slow
def test_max_restarts_is_the_limit(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(session, hyperparameters={"steps": 1}, entrypoint="exit 7", max_restarts=1)
    trial = cluster.trial(session, experiment).id
    assert cluster.wait(session, experiment) == "STATE_ERROR"
    assert "has used its 1 restarts (max_restarts)" in cluster.logs(session, trial)
    assert cluster.trial(session, experiment).restarts == 1


@pytest.mark.slow
def test_invalid_hyperparameters_end_the_trial_without_a_restart(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(session, hyperparameters={"steps": 3, "invalid_at": 2})
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    assert cluster.trial(session, experiment).restarts == 0


@pytest.mark.slow
def test_grid_runs_every_point_and_cleans_up_by_policy(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(
        session,
        hyperparameters={"steps": {"type": "int", "minval": 1, "maxval": 3, "count": 3}, "flavour": "plain"},
        searcher={"name": "grid", "metric": "accuracy", "smaller_is_better": False},
        checkpoint_storage={"save_experiment_best": 1, "save_trial_best": 0, "save_trial_latest": 0},
    )
    assert cluster.wait(session, experiment, 180) == "STATE_COMPLETED"
    trials = bindings.get_GetExperimentTrials(session, experimentId=experiment).trials
    assert sorted(trial.hparams["steps"] for trial in trials) == [1, 2, 3]
    checkpoints = bindings.get_GetExperimentCheckpoints(session, id=experiment).checkpoints
    kept = [found for found in checkpoints if found.state is bindings.checkpointv1State.COMPLETED]
    assert [found.training.searcherMetric for found in kept] == [0.3]
    storage = cluster.home / "determined" / "checkpoints"
    deleted = [storage / found.uuid for found in checkpoints if found not in kept]
    assert len(deleted) == 5
    eventually(lambda: not any(directory.exists() for directory in deleted), "deleted files are gone")


def _allocation(cluster: Cluster, task: str | None) -> Path:
    def found() -> Path | None:
        return next((path for path in cluster.allocations() if path.name.startswith(f"{task}.")), None)

    path = eventually(found, f"a run of {task} has begun")
    assert isinstance(path, Path)
    return path


def _held_before_rendezvous(cluster: Cluster, session: api.Session) -> tuple[int, bindings.trialv1Trial]:
    """Create an experiment whose trial is stopped while it prepares; return both."""
    experiment = cluster.create(session, hyperparameters={"steps": 1})
    trial = cluster.trial(session, experiment)
    directory = _allocation(cluster, trial.taskId)
    agent = int(eventually(lambda: (directory / "pid").exists() and (directory / "pid").read_text(), "the agent runs"))

    def held() -> list[int]:
        found = [number for number in processes.of_allocation(directory.name) if number != agent]
        for number in found:
            os.kill(number, signal.SIGSTOP)
        return found

    eventually(held, "the trial prepares")
    assert _state(session, experiment) == "STATE_STARTING"
    return experiment, trial


@pytest.mark.slow
def test_before_rendezvous_a_pause_kills_and_the_trial_begins_anew(cluster: Cluster, session: api.Session) -> None:
    experiment, trial = _held_before_rendezvous(cluster, session)
    bindings.post_PauseExperiment(session, id=experiment)
    eventually(lambda: not cluster.allocations(), "the run is over")
    assert _state(session, experiment) == "STATE_PAUSED"
    bindings.post_ActivateExperiment(session, id=experiment)
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    assert "run 2 starts at step 0" in cluster.logs(session, trial.id)
    assert bindings.get_GetTrial(session, trialId=trial.id).trial.restarts == 0


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["cancel", "kill", "trial kill"])
def test_before_rendezvous_every_end_is_at_once(cluster: Cluster, session: api.Session, verb: str) -> None:
    experiment, trial = _held_before_rendezvous(cluster, session)
    if verb == "trial kill":
        bindings.post_KillTrial(session, id=trial.id)
    else:
        {"cancel": bindings.post_CancelExperiment, "kill": bindings.post_KillExperiment}[verb](session, id=experiment)
    assert cluster.wait(session, experiment) == "STATE_CANCELED"
    assert "run 1 starts" not in cluster.logs(session, trial.id)


@pytest.mark.slow
def test_between_restarts_a_trial_can_be_paused_and_ended(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(session, entrypoint="exit 7", max_restarts=9)
    trial = cluster.trial(session, experiment).id
    cluster.wait_for_log(session, trial, "restart 3 of 9")
    bindings.post_PauseExperiment(session, id=experiment)
    assert _state(session, experiment) == "STATE_PAUSED"
    bindings.post_ActivateExperiment(session, id=experiment)
    bindings.post_CancelExperiment(session, id=experiment)
    assert cluster.wait(session, experiment) == "STATE_CANCELED"


@pytest.mark.slow
def test_an_experiment_that_is_ending_can_only_be_ended_harder(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(session, entrypoint=DEAF)
    trial = cluster.trial(session, experiment).id
    cluster.wait_for_log(session, trial, "|| it runs")
    bindings.post_CancelExperiment(session, id=experiment)
    bindings.post_CancelExperiment(session, id=experiment)
    assert _state(session, experiment) == "STATE_STOPPING_CANCELED"
    for verb in (bindings.post_PauseExperiment, bindings.post_ActivateExperiment):
        with pytest.raises(errors.APIException, match="incompatible state STOPPING_CANCELED"):
            verb(session, id=experiment)
    with pytest.raises(errors.APIException, match=r"cannot delete experiment .* STOPPING_CANCELED"):
        bindings.delete_DeleteExperiment(session, experimentId=experiment)
    bindings.post_KillExperiment(session, id=experiment)
    assert cluster.wait(session, experiment) == "STATE_CANCELED"


@pytest.mark.slow
def test_who_does_not_hear_of_the_preemption_is_killed_after_its_timeout(
    cluster: Cluster, session: api.Session
) -> None:
    experiment = cluster.create(session, entrypoint=DEAF, preemption_timeout=1)
    trial = cluster.trial(session, experiment).id
    cluster.wait_for_log(session, trial, "|| it runs")
    begun = time.monotonic()
    bindings.post_PauseExperiment(session, id=experiment)
    eventually(lambda: not cluster.allocations(), "the run is over")
    assert time.monotonic() - begun > 1.0
    assert _state(session, experiment) == "STATE_PAUSED"
    bindings.post_ActivateExperiment(session, id=experiment)
    eventually(lambda: cluster.logs(session, trial).count("|| it runs") == 2, "the trial runs again")
    assert bindings.get_GetTrial(session, trialId=trial).trial.restarts == 0
    bindings.post_KillExperiment(session, id=experiment)
    assert cluster.wait(session, experiment) == "STATE_CANCELED"


def test_what_has_not_begun_ends_at_once(cluster: Cluster, session: api.Session) -> None:
    paused, killed = cluster.create(session, activate=False), cluster.create(session, activate=False)
    bindings.post_KillTrial(session, id=cluster.trial(session, paused).id)
    bindings.post_KillExperiment(session, id=killed)
    assert _state(session, paused) == _state(session, killed) == "STATE_CANCELED"
    with pytest.raises(errors.APIException, match="has already ended"):
        bindings.post_KillTrial(session, id=cluster.trial(session, killed).id)
    bindings.post_CancelExperiment(session, id=killed)
    bindings.post_KillExperiment(session, id=killed)


@pytest.mark.slow
def test_fewer_slots_preempt_the_newest_trials(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(
        session,
        hyperparameters={**ENDLESS, "x": {"type": "categorical", "vals": [1, 2]}},
        searcher={"name": "grid", "metric": "accuracy"},
    )
    first, second = [t.id for t in bindings.get_GetExperimentTrials(session, experimentId=experiment).trials]
    for trial in (first, second):
        cluster.wait_for_log(session, trial, "finished step 1")
    cluster.det("experiment", "set", "max-slots", str(experiment), "1")
    cluster.wait_for_log(session, second, "preempted")
    state = eventually(
        lambda: bindings.get_GetTrial(session, trialId=second).trial.state.value == "STATE_QUEUED", "the trial waits"
    )
    assert state
    cluster.det("experiment", "set", "max-slots", str(experiment), "none")
    cluster.wait_for_log(session, second, "run 2 starts")
    assert "preempted" not in cluster.logs(session, first)
    bindings.post_KillExperiment(session, id=experiment)
    assert cluster.wait(session, experiment) == "STATE_CANCELED"
    assert "terminal state CANCELED" in cluster.det("e", "set", "max-slots", str(experiment), "1", code=1)


@pytest.mark.slow
def test_a_trial_of_two_slots_runs_under_the_genuine_launcher(cluster: Cluster, session: api.Session) -> None:
    script = (
        "import os, determined as det; from determined import core;"
        "one = core.DistributedContext(rank=0, size=1, local_rank=0, local_size=1, cross_rank=0, cross_size=1);"
        "core.init(distributed=one).__enter__();"
        "print('slots', det.get_cluster_info().slot_ids, 'chief', os.environ['DET_CHIEF_IP'])"
    )
    launcher = ["python3", "-m", "determined.launch.tensorflow", "--", "python3", "-c", script]
    experiment = cluster.create(session, entrypoint=launcher, resources={"slots_per_trial": 2}, max_restarts=0)
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    trial = cluster.trial(session, experiment).id
    assert "slots [0, 1] chief 127.0.0.1" in cluster.logs(session, trial)
    with pytest.raises(errors.APIException, match=r"resources\.slots_per_trial: 3 slots can never be given"):
        cluster.create(session, resources={"slots_per_trial": 3})


@pytest.mark.slow
def test_the_command_line_says_what_it_did(cluster: Cluster, session: api.Session) -> None:
    printed = cluster.det("experiment", "create", "--paused", "const.yaml", ".")
    experiment = printed.split()[-1]
    assert "Created experiment" in printed
    for verb, message in {
        "activate": "Activated experiment",
        "wait": "",
        "cancel": "Canceled experiment",
        "kill": "Killed experiment",
        "archive": "Archived experiment",
        "unarchive": "Unarchived experiment",
    }.items():
        assert message in cluster.det("experiment", verb, experiment)
    for verb, message in {
        "pause": "Failed to pause experiment: experiment {} is in terminal state COMPLETED",
        "activate": "Failed to activate experiment, i.e., unpause a paused experiment: experiment {} is in terminal",
        "unarchive": "Failed to unarchive experiment: experiment {} is not archived",
    }.items():
        failed = cluster.det("experiment", verb, experiment, code=1)
        assert message.format(experiment) in failed
        assert failed.strip().count("\n") == 0
    unserved = cluster.det("experiment", "set", "log-retention", experiment, "--days", "3", code=1)
    assert "PUT /api/v1/experiments/" in unserved
    assert "is not served" in unserved
    assert unserved.strip().count("\n") == 0
    assert "is in progress" in cluster.det("experiment", "delete", "--yes", experiment)
    assert "not found" in cluster.det("experiment", "describe", experiment, code=1)
