"""One checkout in a path with spaces, one cluster on free ports, the whole chain run once on a slice of the data."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from data.sources import cache_directory, find

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = ("DETERMINED", "PACHYDERM", "KUBERNETES", "INGRESS")


SLICE = {
    "FIRST": "3000",
    "TRAIN_SET": "hyperparameters.epochs=3 hyperparameters.validation_images=500",
    "ACCURACY_THRESHOLD": "0.5",
    "CLASS_FLOOR": "0",
}
"""Enough data and epochs to go through every stage, not to be good."""


@dataclass(frozen=True)
class Checkout:
    """A checkout as a user has it, and the variables of its shell."""

    directory: Path
    environment: dict[str, str]

    def run(self, *argv: str, timeout: float = 280, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command there; stdout and stderr come back as text."""
        done = subprocess.run(
            argv, cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check:
            assert done.returncode == 0, f"{shlex.join(argv)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done

    def make(self, *arguments: str, timeout: float = 280) -> str:
        """Run a make target; its output, both streams."""
        done = self.run("make", "--no-print-directory", *arguments, timeout=timeout)
        return done.stdout + done.stderr

    def clients(self) -> Checkout:
        """The same, with the clients' variables set as `eval "$(python -m localcluster env)"` sets them."""
        printed = self.run(".venv/bin/python", "-m", "localcluster", "env").stdout
        pairs = (shlex.split(line)[1].split("=", 1) for line in printed.splitlines())
        path = f"{self.directory / '.venv' / 'bin'}:{self.environment['PATH']}"
        return Checkout(self.directory, self.environment | dict(pairs) | {"PATH": path})


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A copy of the tracked files under a path with spaces, on free ports, behind a proxy that nobody must ask."""
    directory = tmp_path_factory.mktemp("a path with spaces") / "check out"
    directory.mkdir()
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in names.decode().rstrip("\0").split("\0"):
        if (REPOSITORY / name).exists():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, directory / name)
    for environment in (".venv", ".venv-serving"):
        (directory / environment).symlink_to((REPOSITORY / environment).resolve())
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LOCALCLUSTER_", "DET_", "MAKE", "PYTEST_"))
        and name not in ("PACH_CONFIG", "KUBECONFIG")
    }
    ports = dict(zip((f"LOCALCLUSTER_{name}_PORT" for name in SERVICES), map(str, free_ports(4)), strict=True))
    home = directory.parent / "home"
    home.mkdir()
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    find(None, cache_directory(), print)  # before the proxy that answers nobody is set
    shell = {
        "HOME": str(home),
        "XDG_CACHE_HOME": cache,
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    checkout = Checkout(directory, inherited | ports | shell)
    yield checkout
    checkout.run("make", "down", check=False)


@pytest.fixture(scope="session")
def demo(checkout: Checkout) -> str:
    """What `make demo` printed."""
    return checkout.make("demo", *(f"{name}={value}" for name, value in SLICE.items()), timeout=600)


@pytest.fixture(scope="session")
def clients(checkout: Checkout, demo: str) -> Checkout:
    """The checkout with the clients' variables, after the demo."""
    return checkout.clients()


def predictions_url(clients: Checkout) -> str:
    port = clients.environment["LOCALCLUSTER_INGRESS_PORT"]
    return f"http://127.0.0.1:{port}/seldon/default/fashion-classifier/api/v1.0/predictions"
