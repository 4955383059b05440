"""The master that the contract suite speaks to, and the genuine clients pointed at it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml
from determined.common import api, context
from determined.common.api import authentication, bindings
from determined.experimental import client

EXPERIMENT = Path(__file__).parent / "experiment"
DEADLINE = 600.0
"""Seconds that one experiment may take; a cluster may first have to start a machine."""


@dataclass
class Target:
    """A master's address and a user of it; what its experiments leave behind is deleted by `close`."""

    url: str
    username: str
    password: str = field(repr=False)
    home: Path
    """A directory where the CLI keeps what it remembers."""

    def __post_init__(self) -> None:
        self.session: api.Session = authentication.login(self.url, self.username, self.password)
        self.sdk = client.Determined._from_session(self.session)
        self._created: list[int] = []

    def det(self, *arguments: str, code: int = 0, environment: Mapping[str, str] | None = None) -> str:
        """Run the genuine CLI; return what it printed, of a refusal both streams."""
        variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DET_")},
            "HOME": str(self.home),
            "DET_MASTER": self.url,
            "DET_USER": self.username,
            "DET_PASS": self.password,
            **(environment or {}),
        }
        done = subprocess.run(
            [sys.executable, "-m", "determined.cli", *arguments],
            cwd=EXPERIMENT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == code, f"det {arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stdout + done.stderr

    def request(self, method: str, path: str, body: Any = None, token: str | None = None) -> requests.Response:
        """A raw request with a token (the session's where none is given)."""
        bearer = {"Authorization": f"Bearer {self.session.token if token is None else token}"}
        return requests.request(method, self.url + path, json=body, headers=bearer, timeout=30)

    def create(self, *, activate: bool = True, **changes: Any) -> client.Experiment:
        """Create an experiment from const.yaml with some keys replaced."""
        config = {**yaml.safe_load((EXPERIMENT / "const.yaml").read_text()), **changes}
        body = bindings.v1CreateExperimentRequest(
            config=yaml.safe_dump(config), activate=activate, modelDefinition=context.read_v1_context(EXPERIMENT)
        )
        number = int(bindings.post_CreateExperiment(self.session, body=body).experiment.id)
        self.adopt(number)
        return self.sdk.get_experiment(number)

    def adopt(self, experiment: int) -> None:
        """Delete this experiment at the end, too."""
        self._created.append(experiment)

    def forget(self, experiment: int) -> None:
        """This experiment is deleted already."""
        self._created.remove(experiment)

    def eventually(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for `condition` to be true and return its value."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            if value := condition():
                return value
            time.sleep(0.1)
        raise AssertionError(f"not within {DEADLINE} s: {what}")

    def close(self) -> None:
        """End and delete the experiments that were created, with their checkpoints."""
        for number in self._created:
            experiment = self.sdk.get_experiment(number)
            if bindings.get_GetExperiment(self.session, experimentId=number).experiment.endTime is None:
                experiment.kill()
                experiment.wait(interval=0.2)
            experiment.delete()
