"""Queue, pause, activate, cancel, kill, restarts, invalid hyperparameters and garbage collection."""

from __future__ import annotations

import pytest
from determined.common import api
from determined.common.api import bindings, errors

from .conftest import Cluster, eventually

ENDLESS = {"steps": 1000, "pause": 0.1}


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
    on_disk = {path.name for path in (cluster.home / "determined" / "checkpoints").iterdir()}
    eventually(lambda: not on_disk & {c.uuid for c in checkpoints if c not in kept}, "deleted files are gone")
