"""Searches as users see them: the genuine CLI and harness, trials that are stopped, a master that is killed."""

from __future__ import annotations

import csv
import re
import signal
from pathlib import Path

import pytest
import yaml
from determined.common import api
from determined.common.api import bindings

from localcluster.determined import searching
from localcluster.determined.state.database import Database

from .cluster import Cluster, eventually

SEARCH = Path(__file__).parent / "search"
TRIALS = 6


def submit(cluster: Cluster) -> int:
    """Submit the search by the CLI and return its id."""
    created = cluster.det("experiment", "create", str(SEARCH / "adaptive.yaml"), str(SEARCH))
    found = re.search(r"Created experiment (\d+)", created)
    assert found, created
    return int(found[1])


def all_trials(session: api.Session, experiment: int) -> list[bindings.trialv1Trial]:
    return list(bindings.get_GetExperimentTrials(session, experimentId=experiment).trials)


def check(cluster: Cluster, session: api.Session, experiment: int) -> None:
    """All trials were made once, ran as far as their last rung, and ended by themselves when told to."""
    found = all_trials(session, experiment)
    assert [trial.state.value for trial in found] == ["STATE_COMPLETED"] * TRIALS
    assert len({trial.hparams["offset"] for trial in found}) == TRIALS
    database = Database(cluster.home / "determined" / "master.sqlite")
    [bracket] = searching.rungs(database, experiment)
    database.close()
    assert [rung["units_needed"] for rung in bracket] == [2, 4, 8]
    assert sorted(entry["trial"] for entry in bracket[0]["entries"]) == sorted(trial.id for trial in found)
    last = {entry["trial"]: (rung, entry["decision"]) for rung in bracket for entry in rung["entries"]}
    for trial in found:
        rung, decision = last[trial.id]
        assert decision == ("top" if rung is bracket[-1] else "stopped")
        assert rung["units_needed"] <= trial.totalBatchesProcessed <= rung["units_needed"] + 5
        log = cluster.logs(session, trial.id)
        assert f"the search stops trial {trial.id}" in log
        assert f"preempted after epoch {trial.totalBatchesProcessed}" in log
        assert trial.checkpointCount == 1


@pytest.mark.slow
def test_trials_that_the_search_stops_checkpoint_and_end(cluster: Cluster, session: api.Session) -> None:
    experiment = submit(cluster)
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    check(cluster, session, experiment)
    listed = list(csv.reader(cluster.det("experiment", "list-trials", str(experiment), "--csv").splitlines()))
    assert [row[1] for row in listed[1:]] == ["COMPLETED"] * TRIALS
    described = cluster.det("experiment", "describe", str(experiment))
    assert described.count("COMPLETED") >= TRIALS
    row = next(line for line in cluster.det("experiment", "list", "--all").splitlines() if " asha " in line)
    assert "100.0%" in row


@pytest.mark.slow
def test_a_search_survives_kills_of_the_master(own_cluster: Cluster) -> None:
    session = own_cluster.session()
    experiment = submit(own_cluster)

    def ended() -> int:
        return sum(trial.state.value == "STATE_COMPLETED" for trial in all_trials(session, experiment))

    for count in (1, 3):
        eventually(lambda count=count: ended() >= count, f"{count} trials have ended")  # type: ignore[misc]
        own_cluster.end(signal.SIGKILL)
        own_cluster.start()
    assert own_cluster.wait(session, experiment) == "STATE_COMPLETED"
    check(own_cluster, session, experiment)


@pytest.mark.slow
def test_a_search_fails_naming_the_metric_that_nobody_reports(cluster: Cluster, session: api.Session) -> None:
    asha = {"name": "async_halving", "time_metric": "batches", "num_rungs": 2, "max_trials": 2, "max_time": 4}
    experiment = cluster.create(session, searcher={**asha, "metric": "f1"}, max_restarts=0)
    assert cluster.wait(session, experiment) == "STATE_ERROR"
    for trial in all_trials(session, experiment):
        log = cluster.logs(session, trial.id)
        assert re.search(
            r"fails because of trial \d+: the searcher's metric 'f1' was not reported; the validation", log
        )
        assert "has accuracy, epochs" in log


def test_a_wrong_search_is_refused_naming_every_wrong_key(cluster: Cluster, tmp_path: Path) -> None:
    config = yaml.safe_load((SEARCH / "adaptive.yaml").read_text())
    config["searcher"] |= {"max_time": None, "divisor": 1, "max_epochs": 3}
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(config))
    refusal = cluster.det("experiment", "create", str(tmp_path / "wrong.yaml"), str(SEARCH), code=1)
    for named in ("'max_time' is a required property", "searcher.divisor", "'max_epochs' was unexpected"):
        assert named in refusal
