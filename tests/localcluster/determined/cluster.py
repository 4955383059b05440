"""A master process of its own in a temporary home, and short ways to use it with the genuine clients."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from determined.common import api, context
from determined.common.api import authentication, bindings

from . import recording

REPOSITORY = Path(__file__).resolve().parents[3]
EXPERIMENT = Path(__file__).parent / "experiment"
DEADLINE = 90.0


def eventually(condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
    """Wait for `condition` to be true and return its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Cluster:
    """One home directory and the master process that serves it."""

    def __init__(self, home: Path, slots: int = 2) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DET_", "LOCALCLUSTER_"))}
        user_home = home.parent / "user home"
        user_home.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **clean,
            "HOME": str(user_home),
            "LOCALCLUSTER_HOME": str(home),
            "LOCALCLUSTER_DETERMINED_PORT": str(self.port),
            "LOCALCLUSTER_DETERMINED_SLOTS": str(slots),
            "PACH_CONFIG": "/nowhere/pachyderm.json",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home.parent / "master.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", recording.PROGRAM if recording.wanted() else "localcluster.determined"],
                cwd=REPOSITORY,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._answers, "the master answers")

    def end(self, how: signal.Signals) -> None:
        """Send the signal and wait until the master is gone."""
        assert self.process
        self.process.send_signal(how)
        self.process.wait(60)

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.end(signal.SIGTERM)
        for allocation in self.allocations():
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((allocation / "pid").read_text()), signal.SIGTERM)

    def allocations(self) -> list[Path]:
        root = self.home / "determined" / "allocations"
        return list(root.iterdir()) if root.exists() else []

    @property
    def password(self) -> str:
        return (self.home / "secrets" / "determined").read_text().strip()

    def client_environment(self) -> dict[str, str]:
        return {**self.environment, "DET_MASTER": self.url, "DET_USER": "determined", "DET_PASS": self.password}

    def det(
        self, *arguments: str, code: int | None = 0, environment: dict[str, str] | None = None, typed: str = ""
    ) -> str:
        """Run the genuine CLI, with no terminal and `typed` as its input, and return its standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "determined.cli", *arguments],
            cwd=EXPERIMENT,
            env={**self.client_environment(), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=120,
            input=typed,
            start_new_session=True,
            check=False,
        )
        assert code is None or done.returncode == code, f"det {arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout + (done.stderr if code != 0 else "")

    def session(self) -> api.Session:
        return authentication.login(self.url, "determined", self.password)

    def create(self, session: api.Session, *, activate: bool = True, **changes: Any) -> int:
        """Create an experiment from const.yaml with some keys replaced and return its id."""
        config = {**yaml.safe_load((EXPERIMENT / "const.yaml").read_text()), **changes}
        body = bindings.v1CreateExperimentRequest(
            config=yaml.safe_dump(config), activate=activate, modelDefinition=context.read_v1_context(EXPERIMENT)
        )
        return int(bindings.post_CreateExperiment(session, body=body).experiment.id)

    def wait(self, session: api.Session, experiment: int, seconds: float = DEADLINE) -> str:
        """Wait for an experiment's end and return its state."""

        def ended() -> str | None:
            found = bindings.get_GetExperiment(session, experimentId=experiment).experiment
            return found.state.value if found.endTime else None

        return str(eventually(ended, f"experiment {experiment} ends", seconds))

    def trial(self, session: api.Session, experiment: int) -> bindings.trialv1Trial:
        return bindings.get_GetExperimentTrials(session, experimentId=experiment).trials[0]

    def logs(self, session: api.Session, trial: int) -> str:
        return "".join(line.message for line in bindings.get_TrialLogs(session, trialId=trial))

    def wait_for_log(self, session: api.Session, trial: int, text: str) -> None:
        eventually(lambda: text in self.logs(session, trial), f"trial {trial} logs {text!r}")

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Make a raw request; return status and JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as response:
                return response.status, json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.home.parent / "master.log").read_text()
        try:
            return self.request("GET", "/info")[0] == 200
        except OSError:
            return False
