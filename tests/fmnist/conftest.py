"""Fixtures of the use case's tests: small splits, the training code on the path, a pachd of one's own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pachyderm_sdk import Client

from localcluster.pachyderm import service
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


@pytest.fixture(scope="session")
def pachd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a real pachd process in a home of its own; PACH_CONFIG names it meanwhile."""
    environment = {
        **os.environ,
        "LOCALCLUSTER_HOME": str(tmp_path_factory.mktemp("pachyderm")),
        "LOCALCLUSTER_PACHYDERM_PORT": str(_free_port()),
    }
    settings = Settings.from_environment(environment)
    variables = service.client_environment(settings)
    process = subprocess.Popen([sys.executable, "-m", "localcluster.pachyderm"], cwd=REPOSITORY, env=environment)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        wait_until(lambda: service.ready(settings, timeout=0.2), "pachd to answer its health check")
        yield Client.from_config(variables["PACH_CONFIG"])
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)


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
