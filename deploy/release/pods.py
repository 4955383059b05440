"""HTTP to a version's own pods, whatever the routes say: through the API server's pod proxy, by `kubectl proxy`.

The same on a cluster and on one machine.  On a cluster the user needs the verbs get and create on pods/proxy, and the
API server a way to the pods (deploy/overlays/production/networkpolicy.yaml).
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.release import kubectl
from deploy.release.errors import DeployError, PredictError
from deploy.release.manifest import NAME

_START_SECONDS = 30.0
_REQUEST_SECONDS = 30.0


@dataclass(frozen=True)
class Pods:
    """The ready pods of one namespace, behind a socket that only this user can open."""

    path: Path
    namespace: str

    def of(self, predictor: str) -> list[dict[str, Any]]:
        """The ready pods of a predictor.  Raises DeployError where there is none."""
        selector = f"seldon-deployment-id={NAME},version={predictor}"
        found = kubectl.get("pods", "-l", selector, "-n", self.namespace)["items"]
        ready = [pod for pod in found if _is_ready(pod)]
        if not ready:
            raise DeployError(f"no pod of predictor {predictor} is ready; see kubectl get pods -l {selector}")
        return ready

    def ask(self, pod: dict[str, Any], port: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of a GET, or of a POST of JSON, on a named port.  Raises PredictError without an answer."""
        name = pod["metadata"]["name"]
        ports = [p for c in pod["spec"]["containers"] if c["name"] == NAME for p in c["ports"] if p["name"] == port]
        url = f"/api/v1/namespaces/{self.namespace}/pods/{name}:{ports[0]['containerPort']}/proxy/{path}"
        headers = {"Content-Type": "application/json"} if body else {}
        connection = _UnixConnection("localhost", timeout=_REQUEST_SECONDS)
        connection.socket_path = str(self.path)
        try:
            connection.request("POST" if body else "GET", url, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise PredictError(f"pod {name} cannot be reached through the API server: {error!r}") from error
        finally:
            connection.close()


@contextmanager
def reachable(namespace: str) -> Iterator[Pods]:
    """Keep `kubectl proxy` running, for the pods of this namespace and nothing else.  Raises DeployError."""
    with tempfile.TemporaryDirectory(prefix="pods-") as directory:
        path, log = Path(directory) / "socket", Path(directory) / "log"
        allowed = f"^/api/v1/namespaces/{namespace}/pods/[^/]+/proxy/"
        command = [kubectl.find(), "proxy", "--unix-socket", str(path), "--accept-paths", allowed]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
        try:
            _wait(process, path, log)
            yield Pods(path, namespace)
        finally:
            process.terminate()
            process.wait()


class _UnixConnection(http.client.HTTPConnection):
    socket_path = ""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.socket_path)


def _wait(process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
    """Until the socket accepts: it is there as soon as it is bound, before kubectl listens on it."""
    deadline = time.monotonic() + _START_SECONDS
    while not _accepts(path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise DeployError(f"kubectl proxy does not start: {log.read_text(errors='replace').strip()[-500:]}")
        time.sleep(0.05)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")
