"""A genuine container registry (Debian's docker-registry) on the loopback address, which asks for a password."""

from __future__ import annotations

import base64
import crypt
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import requests
from filelock import FileLock

from localcluster.settings import HOST
from tests.deploy.image.cache import CACHE

USER, PASSWORD = "pusher", "only-for-this-test"  # pragma: allowlist secret


class ContainerRegistry:
    """The process, and the variables by which buildah and skopeo find it, its password and a storage of their own."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory, self.address = directory, f"{HOST}:{port}"
        self.log = directory / "registry.log"
        self._process: subprocess.Popen[bytes] | None = None
        storage = directory / "storage"
        settings = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": str(directory / "registry")}},
            "http": {"addr": self.address},
            "auth": {"htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}},
        }
        hashed = crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        contents = {
            "config.yml": json.dumps(settings),
            "htpasswd": f"{USER}:{hashed}\n",
            "auth.json": json.dumps({"auths": {self.address: {"auth": token}}}),
            ".config/containers/registries.conf": f'[[registry]]\nlocation = "{self.address}"\ninsecure = true\n',
            "storage.conf": f'[storage]\ngraphroot = "{storage}"\nrunroot = "{directory / "run"}"\n',
        }
        for name, content in contents.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(content)
        self.environment = {
            "HOME": str(directory),
            "REGISTRY": f"{self.address}/group/project",
            "REGISTRY_AUTH_FILE": str(directory / "auth.json"),
            "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("wb") as log:
            command = [program(), "serve", str(self.directory / "config.yml")]
            environment = {"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=20)

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://{self.address}/v2/", timeout=5).status_code == 401
        except requests.RequestException:
            return False


def program() -> str:
    """The registry's program, taken out of its package: installed, the package would start a service on all interfaces.

    Raises CalledProcessError and FileNotFoundError where there is neither the program nor Debian's or Ubuntu's apt.
    """
    unpacked = CACHE / "docker-registry"
    if (installed := shutil.which("docker-registry")) is not None:
        return installed
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(unpacked.with_suffix(".lock")), tempfile.TemporaryDirectory(dir=CACHE) as directory:
        if not unpacked.exists():
            download = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", "docker-registry"]
            subprocess.run(download, cwd=directory, check=True, capture_output=True, timeout=120)
            package = next(Path(directory).glob("*.deb"))
            subprocess.run(["dpkg-deb", "--extract", package, Path(directory) / "tree"], check=True, timeout=60)
            (Path(directory) / "tree" / "usr" / "bin" / "docker-registry").rename(unpacked)
    return str(unpacked)
