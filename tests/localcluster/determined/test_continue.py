"""`det experiment continue`: the same trials go on from their checkpoints, with changes where they are allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from determined.common import api
from determined.common.api import bindings, errors

from .conftest import Cluster, eventually


def _continue(session: api.Session, experiment: int, override: str = "") -> bindings.v1Experiment:
    body = bindings.v1ContinueExperimentRequest(id=experiment, overrideConfig=override)
    return bindings.post_ContinueExperiment(session, body=body).experiment


def _trial(session: api.Session, trial: int) -> bindings.trialv1Trial:
    return bindings.get_GetTrial(session, trialId=trial).trial


@pytest.mark.slow
def test_a_completed_trial_goes_on_with_changes_and_is_followed(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(session, name="to be continued", hyperparameters={"steps": 2})
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    before = cluster.trial(session, experiment)
    cluster.det("experiment", "set", "name", str(experiment), "renamed")
    printed = cluster.det("experiment", "continue", str(experiment), "--config", "hyperparameters.steps=4", "-f")
    assert f"Continued experiment {experiment}" in printed
    assert "run 2 starts at step 2" in printed
    assert "finished step 4" in printed
    assert f"Experiment {experiment} completed" in printed or "Trial log stream ended" in printed
    after = cluster.trial(session, experiment)
    assert (after.id, after.hparams, after.state.value) == (before.id, {"steps": 4}, "STATE_COMPLETED")
    assert after.taskIds == [before.taskId, f"{before.taskId}-1"]
    found = bindings.get_GetExperiment(session, experimentId=experiment).experiment
    steps = {"steps": {"type": "const", "val": 4}}
    assert (found.name, found.config["hyperparameters"], found.numTrials) == ("renamed", steps, 1)
    assert yaml.safe_load(found.originalConfig)["hyperparameters"] == {"steps": 2}
    validated = [
        w.validation.totalBatches
        for w in bindings.get_GetTrialWorkloads(session, trialId=after.id).workloads
        if w.validation
    ]
    assert validated == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_failed_trial_has_its_restarts_again(cluster: Cluster, session: api.Session, tmp_path: Path) -> None:
    experiment = cluster.create(session, entrypoint="exit 7", max_restarts=1)
    assert cluster.wait(session, experiment) == "STATE_ERROR"
    trial = cluster.trial(session, experiment)
    assert trial.restarts == 1
    override = tmp_path / "override.yaml"
    override.write_text(
        "description: repaired\nentrypoint: test $A = b && python3 train.py\n"
        "environment: {environment_variables: [A=b]}\n"
    )
    cluster.det("e", "continue", str(experiment), "--config-file", str(override), "--config", "labels=[again]")
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    found = bindings.get_GetExperiment(session, experimentId=experiment).experiment
    assert (found.description, found.labels) == ("repaired", ["again"])
    assert _trial(session, trial.id).restarts == 0
    assert "run 3 starts at step 0" in cluster.logs(session, trial.id)


@pytest.mark.slow
def test_only_the_trials_of_a_search_that_did_not_complete_go_on(cluster: Cluster, session: api.Session) -> None:
    pauses = {"type": "categorical", "vals": [0.0, 1.0]}
    experiment = cluster.create(
        session,
        hyperparameters={"steps": 3, "pause": pauses},
        searcher={"name": "grid", "metric": "accuracy", "max_concurrent_trials": 1},
        max_restarts=0,
    )

    def slow_trial() -> bindings.trialv1Trial | None:
        found = bindings.get_GetExperimentTrials(session, experimentId=experiment).trials
        return next((trial for trial in found if trial.hparams["pause"] == 1.0), None)

    slow = eventually(slow_trial, "the slow trial is created")
    cluster.wait_for_log(session, slow.id, "finished step 1")
    bindings.post_KillTrial(session, id=slow.id)
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    assert _trial(session, slow.id).state.value == "STATE_CANCELED"
    cluster.det("e", "continue", str(experiment))
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    trials = bindings.get_GetExperimentTrials(session, experimentId=experiment).trials
    assert len(trials) == 2
    assert all(trial.state.value == "STATE_COMPLETED" for trial in trials)
    assert "run 2 starts at step 0" not in cluster.logs(session, slow.id)
    assert "run 2" in cluster.logs(session, slow.id)
    done = next(trial for trial in trials if trial.id != slow.id)
    assert "run 2" not in cluster.logs(session, done.id)
    with pytest.raises(errors.APIException, match="has been completed"):
        _continue(session, experiment)


@pytest.mark.slow
def test_a_canceled_search_creates_the_trials_it_still_owes(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(
        session,
        hyperparameters={"steps": 2, "pause": 0.1, "x": {"type": "double", "minval": 0, "maxval": 1}},
        searcher={"name": "random", "metric": "accuracy", "max_trials": 3, "max_concurrent_trials": 1},
    )
    first = cluster.trial(session, experiment)
    cluster.wait_for_log(session, first.id, "run 1 starts")
    bindings.post_KillExperiment(session, id=experiment)
    assert cluster.wait(session, experiment) == "STATE_CANCELED"
    _continue(session, experiment)
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    trials = bindings.get_GetExperimentTrials(session, experimentId=experiment).trials
    assert [trial.state.value for trial in trials] == ["STATE_COMPLETED"] * 3
    assert trials[0].id == first.id
    assert trials[0].hparams == first.hparams


def test_what_cannot_be_continued_is_refused(cluster: Cluster, session: api.Session, finished: int) -> None:
    running = cluster.create(session, activate=False)
    with pytest.raises(errors.APIException, match="non terminal state PAUSED, try again later"):
        _continue(session, running)
    for override, message in {
        "project: other": "project: cannot be changed",
        "workspace: other": "workspace: cannot be changed",
        "searcher: {name: random, max_trials: 2}": "searcher.name: must stay single",
        "[1]": "overrideConfig: must be a mapping",
        "{": "overrideConfig: not YAML",
        "2020-01-01: x": "overrideConfig: not YAML",
        "no_such_key: 1": "no_such_key",
        "max_restarts: many": "max_restarts",
    }.items():
        with pytest.raises(errors.APIException, match=message):
            _continue(session, finished, override)
    with pytest.raises(errors.NotFoundException, match="experiment 999999 not found"):
        _continue(session, 999999)
    bindings.post_KillExperiment(session, id=running)
    assert cluster.det("e", "continue", str(finished), "--config", "project=x", code=1).strip().count("\n") == 0


def test_a_search_takes_no_changes_and_asha_is_not_continued(cluster: Cluster, session: api.Session) -> None:
    grid = {"name": "grid", "metric": "accuracy"}
    asha = {"name": "adaptive_asha", "metric": "accuracy", "max_trials": 2, "max_time": 4, "time_metric": "epochs"}
    for searcher, override, message in (
        (grid, "max_restarts: 3", "only a single searcher's experiment takes changes, not grid"),
        (asha, "", "adaptive_asha cannot be continued"),
    ):
        experiment = cluster.create(session, activate=False, hyperparameters={"steps": 1}, searcher=searcher)
        bindings.post_KillExperiment(session, id=experiment)
        assert cluster.wait(session, experiment) == "STATE_CANCELED"
        with pytest.raises(errors.APIException, match=message):
            _continue(session, experiment, override)
