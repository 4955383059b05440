"""Fixtures of the use case's tests: small splits, the training code on the path, a pachd of one's own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pachyderm_sdk import Client

from localcluster.pachyderm import service as pachyderm
from localcluster.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "fmnist" / "model" / "src"

# The training code is uploaded as it is and imports its neighbours by their bare names.
sys.path.insert(0, str(SOURCE))


def shapes(count: int, seed: int = 0) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Easy images of ten classes, balanced: a bright bar whose place is the label, on noise."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 10).astype(np.uint8)
    images = rng.integers(0, 64, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 5)
        image[4 + 12 * row : 12 + 12 * row, 1 + 5 * column : 5 + 5 * column] = 200
    return images, labels


@contextmanager
def running(platform: ModuleType, settings: Settings, variables: dict[str, str]) -> Iterator[dict[str, str]]:
    """One platform's real service in the home of `settings`; yields the variables by which its clients find it."""
    platform.prepare(settings)
    clients: dict[str, str] = platform.client_environment(settings)
    (described,) = platform.services(settings)
    environment = {**os.environ, **settings.environment(), **variables, **clients, **described.environment}
    log = settings.home / f"{described.name}.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            described.argv, cwd=REPOSITORY, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        wait_until(described.ready, f"{described.name} to become ready (its log: {log})")
        yield clients
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def home_settings(home: Path) -> Settings:
    """A local cluster in `home` on free ports, with one slot."""
    ports = {f"LOCALCLUSTER_{name}_PORT": str(_free_port()) for name in ("DETERMINED", "PACHYDERM")}
    return Settings.from_environment({"LOCALCLUSTER_HOME": str(home), **ports})


@pytest.fixture(scope="session")
def pachd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a real pachd process in a home of its own."""
    settings = home_settings(tmp_path_factory.mktemp("pachyderm"))
    with running(pachyderm, settings, {}) as clients:
        yield Client.from_config(clients["PACH_CONFIG"])


class KubectlStub:
    """A program in kubectl's place that answers `get` with what the test says; for KUBECTL."""

    def __init__(self, folder: Path) -> None:
        self.program, self.answer = folder / "kubectl", folder / "answer"
        self.lists([])

    def lists(self, deployments: Sequence[Mapping[str, Any]], forbidden: str = "nothing") -> None:
        """List these; a call with the argument `forbidden` is refused as a cluster refuses it."""
        self.answer.write_text(json.dumps({"items": list(deployments)}))
        self._becomes(
            f'case " $* " in *" {forbidden} "*) echo "Error from server (Forbidden): forbidden" >&2; exit 1;; esac\n'
            f'cat "{self.answer}"\n'
        )

    def fails(self, words: str) -> None:
        """End with these words."""
        self.answer.write_text(words)
        self._becomes(f'cat "{self.answer}" >&2\nexit 1\n')

    def _becomes(self, script: str) -> None:
        self.program.write_text(f"#!/bin/sh\n{script}")
        self.program.chmod(0o755)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Return once `condition` holds; fail the test, saying what it waited for, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for {what}")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
