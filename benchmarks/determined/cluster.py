"""A master of its own in a temporary home, for measurements with the genuine client."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
import yaml

from determined.common import api, context
from determined.common.api import authentication, bindings

SCRIPTS = Path(__file__).parent / "scripts"
START_DEADLINE = 60.0
END_DEADLINE = 300.0
TERMINAL = {"STATE_COMPLETED", "STATE_CANCELED", "STATE_ERROR"}


class Cluster:
    """`with Cluster(home, slots) as cluster` runs a master; its experiments are scripts of scripts/."""

    def __init__(self, home: Path, slots: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._home = home
        with contextlib.redirect_stdout(io.StringIO()):
            self._definition = context.read_v1_context(SCRIPTS)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DET_", "LOCALCLUSTER_"))},
            "LOCALCLUSTER_HOME": str(home),
            "LOCALCLUSTER_DETERMINED_PORT": str(port),
            "LOCALCLUSTER_DETERMINED_SLOTS": str(slots),
        }

    def __enter__(self) -> Cluster:
        self._log = (self._home / "master.log").open("wb")
        command = [sys.executable, "-m", "localcluster.determined"]
        self._process = subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + START_DEADLINE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the master did not start: {(self._home / 'master.log').read_text()[-3000:]}")
            time.sleep(0.02)
        password = (self._home / "secrets" / "determined").read_text().strip()
        self.session: api.Session = authentication.login(self.url, "determined", password)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._log.close()

    def create(self, entrypoint: str, *, activate: bool = True, **hyperparameters: Any) -> int:
        """Create an experiment and return its id."""
        config = {
            "name": entrypoint,
            "entrypoint": entrypoint,
            "hyperparameters": hyperparameters,
            "searcher": {"name": "single", "metric": "loss"},
            "max_restarts": 0,
        }
        body = bindings.v1CreateExperimentRequest(
            config=yaml.safe_dump(config), activate=activate, modelDefinition=self._definition
        )
        return int(bindings.post_CreateExperiment(self.session, body=body).experiment.id)

    def trial(self, experiment: int) -> int:
        """The id of the experiment's only trial."""
        return int(bindings.get_GetExperimentTrials(self.session, experimentId=experiment).trials[0].id)

    def wait(self, *experiments: int) -> None:
        """Wait until all have completed; a failed one ends the measurement."""
        deadline = time.monotonic() + END_DEADLINE
        for experiment in experiments:
            while True:
                state = bindings.get_GetExperiment(self.session, experimentId=experiment).experiment.state.value
                if state in TERMINAL:
                    break
                if time.monotonic() > deadline:
                    raise SystemExit(f"experiment {experiment} has not ended after {END_DEADLINE:.0f} s")
                time.sleep(0.1)
            if state != "STATE_COMPLETED":
                raise SystemExit(f"experiment {experiment}: {state}\n{self.logs(self.trial(experiment))[-3000:]}")

    def logs(self, trial: int) -> str:
        """The trial's whole log."""
        return "".join(line.message for line in bindings.get_TrialLogs(self.session, trialId=trial))

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/info", timeout=5).ok
        except requests.ConnectionError:
            return False
