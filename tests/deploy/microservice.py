"""Starts the genuine seldon-core-microservice for the tests, bound to the loopback address."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from localcluster.settings import HOST, REPOSITORY, Settings

LAUNCHER = REPOSITORY / "localcluster" / "kubernetes" / "launcher.py"
"""Changes the address that the microservice binds to, and nothing else."""


class Microservice:
    """One container's process, with the environment that Seldon's operator gives it."""

    def __init__(self, root: Path, *, workers: int, threads: int) -> None:
        self.root = root
        self.http, self.grpc, self.metrics = (_free_port() for _ in range(3))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MODEL_DIR": str(root / "model"),
            "GUNICORN_WORKERS": str(workers),
            "GUNICORN_THREADS": str(threads),
            "PREDICTIVE_UNIT_ID": "fashion-classifier",
            "PREDICTIVE_UNIT_IMAGE": "fashion-classifier:v3",
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(self.http),
            "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(self.grpc),
            "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(self.metrics),
            "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        }
        self.metrics_url = f"http://{HOST}:{self.metrics}/prometheus"
        self.log = root / "log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the container's HTTP port answers."""
        return f"http://{HOST}:{self.http}"

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process; it is a session of its own, so that all its workers can be ended."""
        python = Settings.from_environment().serving_environment / "bin" / "python"
        arguments = ["-P", str(LAUNCHER), "FashionClassifier", "--service-type", "MODEL"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [python, *arguments],
                cwd=self.root / "app",
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.process

    def start(self, seconds: float = 90) -> None:
        """Start and wait until the model answers."""
        process = self.spawn()
        deadline = time.monotonic() + seconds
        while not self._ready():
            assert process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, f"not ready in {seconds} s: {self.log.read_text()[-3000:]}"
            time.sleep(0.1)

    def stop(self) -> None:
        """End the process and its children."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=20)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=20)

    def post(self, message: Any, path: str = "/api/v1.0/predictions", **options: Any) -> requests.Response:
        """Post a message as JSON."""
        return requests.post(self.url + path, json=message, timeout=60, **options)

    def get(self, path: str) -> requests.Response:
        """Get a path; redirects are not followed."""
        return requests.get(self.url + path, timeout=30, allow_redirects=False)

    def images(self) -> float:
        """How many images it has counted."""
        lines = requests.get(self.metrics_url, timeout=30).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("fashion_classifier_images_total"))

    def _ready(self) -> bool:
        try:
            return requests.get(self.url + "/health/status", timeout=5).ok
        except requests.RequestException:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
