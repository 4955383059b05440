"""SIGKILL of master, agents and trials at random moments: what was acknowledged is there, exactly once, at the end.

The moments come from a seeded generator; what they hit depends on the machine.  Trials write down what the master
acknowledged to them (chaos/train.py); a client registers model versions and reads logs all the while.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from determined.common import api, context
from determined.common.api import bindings, errors

from localcluster.determined.agent import processes

from .conftest import Cluster, eventually

DIRECTORY = Path(__file__).parent / "chaos"
SINGLE: dict[str, Any] = {}
SEARCH = {
    "hyperparameters": {"steps": 6, "pause": 0.1, "x": {"type": "double", "minval": 0, "maxval": 1}},
    "searcher": {"name": "random", "metric": "accuracy", "max_trials": 4, "max_concurrent_trials": 2},
}
ALIVE = 3
"""Experiments that run at any time while things are killed."""
LONGEST_PAUSE = 1.0
"""Seconds between two kills, at most."""
WITHOUT_MASTER = (errors.MasterNotFoundException, requests.RequestException, bindings.APIHttpStreamError)
"""What a client may see while no master answers, or when it dies in the middle of an answer."""


class Client(threading.Thread):
    """Somebody who works on, whatever is killed: registers checkpoints and reads logs, and keeps what came back."""

    def __init__(self, cluster: Cluster, ledger: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self._session = cluster.session().with_retry(0)
        self._ledger, self._random = ledger, random.Random(seed)
        self._done = threading.Event()
        self.versions: dict[int, str] = {}
        self.lines: dict[int, dict[str, str]] = {}
        self.defects: list[str] = []
        bindings.post_PostModel(self._session, body=bindings.v1PostModelRequest(name="chaos"))

    def run(self) -> None:
        while not self._done.wait(0.05):
            known = [entry for entry in entries(self._ledger) if entry[0] == "checkpoint"]
            if known:
                with contextlib.suppress(*WITHOUT_MASTER):
                    self._register(self._random.choice(known)[3])
                    self._read(self._random.choice(known)[1])

    def finish(self) -> None:
        """Let it end; it has worked up to now and found nothing wrong."""
        assert self.is_alive()
        self._done.set()
        self.join(60)
        assert not self.is_alive()
        assert not self.defects
        assert self.versions
        assert any(self.lines.values())

    def _register(self, checkpoint: str) -> None:
        body = bindings.v1PostModelVersionRequest(modelName="chaos", checkpointUuid=checkpoint)
        version = bindings.post_PostModelVersion(self._session, modelName="chaos", body=body).modelVersion.version
        if version in self.versions:
            self.defects.append(f"version {version} was given twice")
        self.versions[version] = checkpoint

    def _read(self, trial: int) -> None:
        found = {line.id: line.message for line in bindings.get_TrialLogs(self._session, trialId=trial)}
        seen = self.lines.setdefault(trial, {})
        if lost := [text for number, text in seen.items() if found.get(number) != text]:
            self.defects.append(f"lines of trial {trial} that were read are gone: {lost[:3]}")
        seen |= found


def entries(ledger: Path) -> list[list[Any]]:
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


class Chaos:
    """Creates experiments and kills what runs."""

    def __init__(self, cluster: Cluster, ledger: Path, seed: int) -> None:
        self.cluster, self._ledger, self._random = cluster, ledger, random.Random(seed)
        self.session = cluster.session()
        self.experiments: list[int] = []
        self.kills: Counter[str] = Counter()
        self.runs_without_agent: set[str] = set()
        self._paused: set[int] = set()

    def run(self, kills: int) -> None:
        """Kill `kills` times; the master runs at the end."""
        while self.kills.total() < kills:
            self._keep_busy()
            time.sleep(self._random.uniform(0, LONGEST_PAUSE))
            self._random.choices([self._kill_master, self._kill_trial, self._kill_agent, self._steer], [4, 3, 3, 1])[
                0
            ]()
            check(self.cluster, self._ledger)
        for experiment in self._paused:
            self._activate(experiment)

    def _keep_busy(self) -> None:
        states = {number: self._state(number) for number in self.experiments}
        running = [number for number, state in states.items() if state != "STATE_COMPLETED"]
        assert not set(states.values()) & {"STATE_ERROR", "STATE_CANCELED"}
        for _ in range(ALIVE - len(running)):
            changes = SEARCH if len(self.experiments) % 3 == 2 else SINGLE
            config = yaml.safe_load((DIRECTORY / "const.yaml").read_text()) | changes
            config["environment"] = {"environment_variables": [f"LEDGER={self._ledger}"]}
            body = bindings.v1CreateExperimentRequest(
                config=yaml.safe_dump(config), activate=True, modelDefinition=context.read_v1_context(DIRECTORY)
            )
            self.experiments.append(bindings.post_CreateExperiment(self.session, body=body).experiment.id)

    def _kill_master(self) -> None:
        self.cluster.end(signal.SIGKILL)
        self.kills["master"] += 1
        self.cluster.start()

    def _kill_agent(self) -> None:
        for directory in self._shuffled():
            with contextlib.suppress(OSError, ValueError):
                process = int((directory / "pid").read_text())
                self.runs_without_agent.add(directory.name)
                os.kill(process, signal.SIGKILL)
                self.kills["agent"] += 1
                return

    def _kill_trial(self) -> None:
        for directory in self._shuffled():
            agent = (directory / "pid").read_text() if (directory / "pid").exists() else ""
            found = [number for number in processes.of_allocation(directory.name) if str(number) != agent]
            if agent and found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._random.choice(found), signal.SIGKILL)
                    self.kills["trial"] += 1
                return

    def _steer(self) -> None:
        if self._paused:
            self._activate(self._paused.pop())
            return
        running = [number for number in self.experiments if self._state(number) != "STATE_COMPLETED"]
        experiment = self._random.choice(running or self.experiments)
        with contextlib.suppress(errors.APIException):
            bindings.post_PauseExperiment(self.session, id=experiment)
            self._paused.add(experiment)

    def _activate(self, experiment: int) -> None:
        """Let a paused experiment go on, unless its trials were at their last step when they were told to pause."""
        try:
            bindings.post_ActivateExperiment(self.session, id=experiment)
        except errors.APIException:
            assert self._state(experiment) == "STATE_COMPLETED"

    def _shuffled(self) -> list[Path]:
        found = sorted(self.cluster.allocations())
        self._random.shuffle(found)
        return found

    def _state(self, experiment: int) -> str:
        return str(bindings.get_GetExperiment(self.session, experimentId=experiment).experiment.state.value)


@contextlib.contextmanager
def database(cluster: Cluster) -> Iterator[sqlite3.Connection]:
    path = cluster.home / "determined" / "master.sqlite"
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def check(cluster: Cluster, ledger: Path) -> None:
    """Every acknowledged metric and checkpoint is stored exactly once, archived metrics included."""
    acknowledged = entries(ledger)
    with database(cluster) as db:
        stored = Counter(db.execute("SELECT trial_id, run, name, steps FROM metrics").fetchall())
        saved = {tuple(row) for row in db.execute("SELECT trial_id, steps, uuid FROM checkpoints")}
    assert not [row for row, count in stored.items() if count > 1]
    assert {tuple(entry[1:]) for entry in acknowledged if entry[0] == "metrics"} <= set(stored)
    assert {tuple(entry[1:]) for entry in acknowledged if entry[0] == "checkpoint"} <= saved


def check_lines(cluster: Cluster, ledger: Path, without_agent: set[str]) -> None:
    """No line is there twice, and only runs whose agent was killed may have lost one."""
    with database(cluster) as db:
        lines = Counter(row[0] for row in db.execute("SELECT log FROM logs WHERE log LIKE 'step % of run %'"))
        runs = dict(db.execute("SELECT trial_id || '.' || run, id FROM allocations"))
    assert not [text for text, count in lines.items() if count > 1]
    for _, trial, run, text in (entry for entry in entries(ledger) if entry[0] == "line"):
        assert text in lines or runs[f"{trial}.{run}"] in without_agent, text


def check_steps(cluster: Cluster, session: api.Session, trial: bindings.trialv1Trial) -> None:
    """Every step of a trial was validated once, in order.

    Only the step that a later run went on from may lack its metrics: the harness reports a checkpoint at once, but
    metrics in the background, so a trial killed between the two never sent them.
    """
    found = bindings.get_GetTrialWorkloads(session, trialId=trial.id, limit=1000).workloads
    steps = [workload.validation.totalBatches for workload in found if workload.validation]
    with database(cluster) as db:
        resumed = {
            row[0] for row in db.execute("SELECT resumed_steps FROM allocations WHERE trial_id = ?", (trial.id,))
        }
    assert steps == sorted(set(steps))
    assert set(range(1, trial.hparams["steps"] + 1)) - set(steps) <= resumed


def check_models(session: api.Session, client: Client) -> None:
    found = bindings.get_GetModelVersions(session, modelName="chaos").modelVersions
    versions = {version.version: version.checkpoint.uuid for version in found}
    assert len(versions) == len(found)
    assert client.versions.items() <= versions.items()


def wreak_havoc(home: Path, kills: int, seed: int) -> Counter[str]:
    cluster = Cluster(home / "home", slots=3)
    cluster.start()
    ledger = home / "ledger"
    try:
        chaos = Chaos(cluster, ledger, seed)
        client = Client(cluster, ledger, seed)
        client.start()
        chaos.run(kills)
        for experiment in chaos.experiments:
            assert cluster.wait(chaos.session, experiment, 300) == "STATE_COMPLETED"
            for trial in bindings.get_GetExperimentTrials(chaos.session, experimentId=experiment).trials:
                check_steps(cluster, chaos.session, trial)
        client.finish()
        check(cluster, ledger)
        check_lines(cluster, ledger, chaos.runs_without_agent)
        check_models(chaos.session, client)
        eventually(lambda: not cluster.allocations(), "no directory of a run is left")
        eventually(lambda: not _processes_of(cluster), "no process of a trial is left")
        return chaos.kills
    finally:
        cluster.close()


def _processes_of(cluster: Cluster) -> list[str]:
    wanted = f"DET_MASTER={cluster.url}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(entry.name)
    return found


@pytest.mark.slow
def test_eight_kills(tmp_path: Path) -> None:
    assert wreak_havoc(tmp_path, 8, seed=1).total() == 8


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_hundred_kills(tmp_path: Path) -> None:
    kills = wreak_havoc(tmp_path, 100, seed=20260101)
    assert min(kills["master"], kills["agent"], kills["trial"]) >= 15, kills
