"""A pachd of its own for a test: a real process on a free port with a home of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from pachyderm_sdk import Client

from localcluster.pachyderm import service
from localcluster.settings import REPOSITORY, Settings

START_DEADLINE = 60.0
"""Seconds that a pachd may take to serve; a loaded machine needs a few."""


class LocalPachd:
    """`python -m localcluster.pachyderm` below `home`; it keeps its port when started again."""

    def __init__(self, home: Path) -> None:
        self.settings = replace(Settings.from_environment({}), home=home, pachyderm_port=_free_port())
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> Path:
        """Where the database and the blobs lie."""
        return self.settings.home / "pachyderm"

    @property
    def config(self) -> Path:
        """The file that PACH_CONFIG names."""
        return self.state / "config.json"

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.settings.pachyderm_port}"

    @property
    def log(self) -> str:
        """What the process wrote so far."""
        return (self.settings.home / "pachd.log").read_text()

    @property
    def pid(self) -> int:
        """The process's id; it runs."""
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Return once it serves."""
        deadline = time.monotonic() + START_DEADLINE
        self._launch()
        while not service.ready(self.settings):
            assert self._process
            if self._process.poll() is not None and "cannot listen" in self.log:
                self.settings = replace(self.settings, pachyderm_port=_free_port())
                self._launch()
            assert time.monotonic() < deadline, f"pachd does not serve:\n{self.log}"
            time.sleep(0.05)

    def _launch(self) -> None:
        self.settings.home.mkdir(parents=True, exist_ok=True)
        with (self.settings.home / "pachd.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "localcluster.pachyderm"],
                env={**os.environ, **self.settings.environment()},
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(number)
        return process.wait(30)

    def client(self) -> Client:
        """The genuine client, configured as a user's is, connected.

        gRPC shares its pause between connection attempts among the clients of a process, so that one made just after
        a restart may still be refused.
        """
        client = Client.from_config(self.config)
        deadline = time.monotonic() + START_DEADLINE
        while True:
            try:
                client.get_version()
            except ConnectionError:
                assert time.monotonic() < deadline, "the client does not connect"
                time.sleep(0.05)
            else:
                return client


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
