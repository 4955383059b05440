"""kill -9 of master, agent and trial, and a clean stop in the middle: nothing acknowledged is lost, work goes on."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from determined.common import api
from determined.common.api import bindings

from localcluster.determined.agent import processes

from .conftest import REPOSITORY, Cluster, eventually

STEPS = 8
HPARAMS = {"steps": STEPS, "pause": 0.2}


def _reported(session: api.Session, trial: int) -> list[int]:
    found = bindings.get_GetTrialWorkloads(session, trialId=trial).workloads
    return [workload.validation.totalBatches for workload in found if workload.validation]


def _check_complete(cluster: Cluster, session: api.Session, experiment: int, trial: int) -> str:
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    text = cluster.logs(session, trial)
    assert _reported(session, trial) == list(range(1, STEPS + 1))
    assert f"finished step {STEPS}" in text
    eventually(lambda: not cluster.allocations(), "no allocation is left")
    return text


@pytest.mark.slow
def test_a_killed_master_finds_its_trial_running(own_cluster: Cluster) -> None:
    session = own_cluster.session()
    experiment = own_cluster.create(session, hyperparameters=HPARAMS)
    trial = own_cluster.trial(session, experiment).id
    own_cluster.wait_for_log(session, trial, "finished step 2")
    before = own_cluster.logs(session, trial)
    own_cluster.end(signal.SIGKILL)
    own_cluster.start()
    text = _check_complete(own_cluster, session, experiment, trial)
    assert text.startswith(before)
    assert [text.count(f"finished step {step}\n") for step in range(1, STEPS + 1)] == [1] * STEPS
    assert own_cluster.trial(session, experiment).restarts == 0


@pytest.mark.slow
def test_a_trial_that_ends_while_the_master_is_away_is_complete(own_cluster: Cluster) -> None:
    session = own_cluster.session()
    experiment = own_cluster.create(session, entrypoint="sleep 1; echo spoken to nobody; exit 0")
    trial = own_cluster.trial(session, experiment).id
    own_cluster.wait_for_log(session, trial, "Launching")
    own_cluster.end(signal.SIGKILL)
    allocation = own_cluster.allocations()[0]
    eventually((allocation / "exit.json").exists, "the agent has written the exit code")
    own_cluster.start()
    assert own_cluster.wait(session, experiment) == "STATE_COMPLETED"
    assert own_cluster.logs(session, trial).count("|| spoken to nobody") == 1


@pytest.mark.slow
def test_a_killed_trial_process_is_a_restart(own_cluster: Cluster) -> None:
    session = own_cluster.session()
    experiment = own_cluster.create(session, hyperparameters={**HPARAMS, "kill_at": 3})
    trial = own_cluster.trial(session, experiment).id
    text = _check_complete(own_cluster, session, experiment, trial)
    assert "killed by SIGKILL" in text
    assert "run 2 starts at step 3" in text
    assert own_cluster.trial(session, experiment).restarts == 1


@pytest.mark.slow
def test_a_killed_agent_takes_its_trial_along_and_is_a_restart(own_cluster: Cluster) -> None:
    session = own_cluster.session()
    experiment = own_cluster.create(session, hyperparameters=HPARAMS)
    trial = own_cluster.trial(session, experiment).id
    own_cluster.wait_for_log(session, trial, "finished step 2")
    allocation: Path = own_cluster.allocations()[0]
    os.kill(int((allocation / "pid").read_text()), signal.SIGKILL)
    eventually(lambda: not processes.of_allocation(allocation.name), "the orphaned processes are gone")
    text = _check_complete(own_cluster, session, experiment, trial)
    assert "its agent was killed" in text
    assert own_cluster.trial(session, experiment).restarts == 1


@pytest.mark.slow
def test_killed_master_and_agent_together(own_cluster: Cluster) -> None:
    session = own_cluster.session()
    experiment = own_cluster.create(session, hyperparameters=HPARAMS)
    trial = own_cluster.trial(session, experiment).id
    own_cluster.wait_for_log(session, trial, "finished step 2")
    own_cluster.end(signal.SIGKILL)
    os.kill(int((own_cluster.allocations()[0] / "pid").read_text()), signal.SIGKILL)
    own_cluster.start()
    _check_complete(own_cluster, session, experiment, trial)


@pytest.mark.slow
def test_a_clean_stop_leaves_the_trial_resumable(own_cluster: Cluster) -> None:
    session = own_cluster.session()
    experiment = own_cluster.create(session, hyperparameters=HPARAMS)
    trial = own_cluster.trial(session, experiment).id
    own_cluster.wait_for_log(session, trial, "finished step 2")
    allocation = own_cluster.allocations()[0].name
    own_cluster.end(signal.SIGTERM)
    assert own_cluster.process is not None
    assert own_cluster.process.returncode == 0
    assert not processes.of_allocation(allocation)
    own_cluster.start()
    text = _check_complete(own_cluster, session, experiment, trial)
    assert "preempted" in text
    assert "run 2 starts at step 0" not in text
    assert own_cluster.trial(session, experiment).restarts == 0


@pytest.mark.slow
def test_what_a_failed_run_did_beyond_its_checkpoint_is_rolled_back(cluster: Cluster, session: api.Session) -> None:
    script = """
import sys
import determined as det
from determined import core

info = det.get_cluster_info()
run = info.trial._trial_run_id
with core.init(tensorboard_mode=core.TensorboardMode.MANUAL) as context:
    for step in range(info.trial._steps_completed + 1, 4):
        context.train.report_training_metrics(steps_completed=step, metrics={"run": run})
        context.train.report_validation_metrics(steps_completed=step, metrics={"accuracy": run})
        if step == 1:
            with context.checkpoint.store_path({"steps_completed": step}) as (path, _):
                (path / "step").write_text("1")
sys.exit(0 if run == 2 else 5)
"""
    experiment = cluster.create(session, entrypoint=["python3", "-c", script])
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    trial = cluster.trial(session, experiment)
    found = bindings.get_GetTrialWorkloads(session, trialId=trial.id).workloads
    seen = [(w.validation.totalBatches, w.validation.metrics.avgMetrics["accuracy"]) for w in found if w.validation]
    assert seen == [(1, 1), (2, 2), (3, 2)]
    with sqlite3.connect(f"{(cluster.home / 'determined' / 'master.sqlite').as_uri()}?mode=ro", uri=True) as db:
        archived = db.execute(
            "SELECT run, name, steps FROM metrics WHERE trial_id = ? AND archived ORDER BY 2, 3", (trial.id,)
        ).fetchall()
    assert archived == [(1, name, step) for name in ("training", "validation") for step in (2, 3)]


@pytest.mark.slow
def test_a_report_that_is_repeated_is_stored_once(cluster: Cluster, session: api.Session) -> None:
    script = """
from determined import core

with core.init(tensorboard_mode=core.TensorboardMode.MANUAL) as context:
    for metrics in ({"accuracy": 1.0}, {"accuracy": 1.0}, {"other": 2.0}):
        context.train.report_validation_metrics(steps_completed=1, metrics=metrics)
"""
    experiment = cluster.create(session, entrypoint=["python3", "-c", script])
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    found = bindings.get_GetTrialWorkloads(session, trialId=cluster.trial(session, experiment).id).workloads
    assert [w.validation.metrics.avgMetrics for w in found if w.validation] == [{"accuracy": 1.0, "other": 2.0}]


def test_a_request_that_never_ends_holds_up_no_other_calls_transaction(
    cluster: Cluster, session: api.Session, finished: int
) -> None:
    path = f"/api/v1/trials/{cluster.trial(session, finished).id}/runner/metadata"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {session.token}\r\nContent-Length: 99\r\n\r\n{{"
    with socket.create_connection(("127.0.0.1", cluster.port)) as stalled:
        stalled.sendall(head.encode())
        bindings.post_PostModel(session, body=bindings.v1PostModelRequest(name="acknowledged"))
        stored = sqlite3.connect(cluster.home / "determined" / "master.sqlite")
        assert stored.execute("SELECT 1 FROM models WHERE name = 'acknowledged'").fetchone()
        stored.close()


def test_a_second_master_is_refused_before_it_touches_anything(cluster: Cluster) -> None:
    def second(**changes: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "localcluster.determined"],
            cwd=REPOSITORY,
            env={**cluster.environment, **changes},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        return done.stderr

    assert "LOCALCLUSTER_DETERMINED_PORT" in second()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    assert "another Determined master serves" in second(LOCALCLUSTER_DETERMINED_PORT=port)
