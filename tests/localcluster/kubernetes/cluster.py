"""One running stand-in for the tests: real processes, real sockets, the genuine kubectl and Envoy."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from localcluster.kubernetes import service
from localcluster.kubernetes.controller.processes import MARK
from localcluster.settings import HOST, REPOSITORY, Settings


def free_port() -> int:
    """A port of the loopback address that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """Wait until `condition` returns something true; fails the test, naming `what`, when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


@dataclass
class Cluster:
    """The API and Envoy as the supervisor would run them, in a temporary home."""

    home: Path
    kubectl: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = Settings.from_environment(
            {
                "LOCALCLUSTER_HOME": str(self.home),
                "LOCALCLUSTER_KUBERNETES_PORT": str(free_port()),
                "LOCALCLUSTER_INGRESS_PORT": str(free_port()),
            }
        )
        self.images.mkdir(parents=True, exist_ok=True)
        service.prepare(self.settings)
        self.services = {each.name: each for each in service.services(self.settings)}

    @property
    def images(self) -> Path:
        return self.settings.images

    def start(self, name: str) -> None:
        each = self.services[name]
        environment = os.environ | self.settings.environment()
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                each.argv, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        until(each.ready, f"{name} is ready; its log: {(self.home / f'{name}.log').read_text()[-2000:]}")

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Signal a service and wait for its end; returns its exit status."""
        self.processes[name].send_signal(number)
        return self.processes[name].wait(timeout=30)

    def stop(self) -> None:
        for name in list(self.processes):
            if self.processes[name].poll() is None:
                self.kill(name, signal.SIGTERM)
        for process in self.containers():
            with suppress(psutil.NoSuchProcess):  # What belongs to one that is killed ends with it.
                process.kill()

    def containers(self) -> list[psutil.Process]:
        """Every process that runs for a container of this cluster."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK, "").startswith(str(self.home)):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def run(self, *arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl."""
        environment = os.environ | {"KUBECONFIG": str(self.home / "kubernetes" / "kubeconfig"), "HOME": str(self.home)}
        done = subprocess.run(
            [self.kubectl, *arguments], input=stdin, env=environment, capture_output=True, text=True, timeout=60
        )
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done

    def json(self, *arguments: str) -> Any:
        """What `kubectl get ... -o json` prints."""
        return json.loads(self.run("get", *arguments, "-o", "json").stdout)

    def apply(self, manifest: dict[str, Any], *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("apply", "-f", "-", *arguments, stdin=json.dumps(manifest), check=check)

    def available(self, name: str) -> None:
        """Wait, as a user would, until a SeldonDeployment is available."""
        self.run("wait", "--for=jsonpath={.status.state}=Available", f"sdep/{name}", "--timeout=50s")

    def pods(self, name: str) -> list[Any]:
        found: list[Any] = self.json("pods", "-l", f"seldon-deployment-id={name}")["items"]
        return found

    def request(self, name: str, path: str = "x", body: bytes | None = None) -> tuple[int, Any]:
        """Ask through the ingress; returns the status and the JSON (or text) of the answer."""
        url = f"http://{HOST}:{self.settings.ingress_port}/seldon/default/{name}/{path}"
        headers = {"Content-Type": "application/json"} if body else {}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(urllib.request.Request(url, body, headers), timeout=20) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text


def manifest(sdep: str, image: str, *others: dict[str, Any], **predictor: Any) -> dict[str, Any]:
    """A SeldonDeployment of one container a predictor; `others` are further predictors."""
    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": sdep},
        "spec": {"predictors": [predictor_of(image, **predictor), *others]},
    }


def predictor_of(image: str, name: str = "default", **fields: Any) -> dict[str, Any]:
    """One predictor without the service orchestrator."""
    container = {"name": "clf", "image": image, **fields.pop("container", {})}
    return {
        "name": name,
        "annotations": {"seldon.io/no-engine": "true"},
        "graph": {"name": "clf", "type": "MODEL"},
        "componentSpecs": [{"spec": {"containers": [container]}}],
        **fields,
    }
