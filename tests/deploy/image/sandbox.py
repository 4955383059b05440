"""Runs a command in an image's root file system as a kubelet would: another user, nothing writable, nothing shared.

The network is a namespace of its own with nothing but a loopback device, so what the container listens on is seen
there only; questions are asked from inside.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploy.release import programs, skopeo

_ENTER = """
set -eu
root=$1 user=$2 folder=$3 place=$4; shift 4
ip link set lo up
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
[ -z "$folder" ] || mount --bind "$folder" "$root$place"
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" env -i "$@"
"""

_ASK = """
import sys, urllib.request
url, body = sys.argv[1], sys.stdin.buffer.read()
request = urllib.request.Request(url, body or None, {"Content-Type": "application/json"})
sys.stdout.buffer.write(urllib.request.urlopen(request, timeout=60).read())
"""


class Sandbox:
    """An unpacked image and its configuration (OCI image specification, `config`)."""

    def __init__(self, root: Path, config: Mapping[str, Any], log: Path) -> None:
        self.root, self.config, self.log = root, config, log
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def pull(cls, reference: str, log: Path) -> Sandbox:
        """Pull an image and mount its root file system, which goes with the storage of buildah.  Raises BuildError."""
        container = programs.run("buildah", "from", reference).strip()
        root = Path(programs.run("buildah", "mount", container).strip())
        return cls(root, skopeo.configuration(reference)["config"], log)

    def command(self, argv: list[str], folder: Path | None = None, place: str = "/mnt") -> list[str]:
        """The argument list that runs `argv` inside; `folder`, of this machine, takes the place of one of the image."""
        where = f"--chdir={self.config.get('WorkingDir') or '/'}"
        given = [str(self.root), str(self.config["User"]), str(folder or ""), place, where, *self.config["Env"], *argv]
        return ["unshare", "--mount", "--net", "sh", "-c", _ENTER, "sandbox", *given]

    def run(self, *argv: str, folder: Path | None = None, place: str = "/mnt") -> subprocess.CompletedProcess[str]:
        """Run a command to its end; without one, what the image starts."""
        command = self.command([*argv] or self._entrypoint(), folder, place)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    def start(self, path: str) -> None:
        """Start what the image starts, and wait until `path` answers."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(self._entrypoint()), stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while self._question(path, b"").returncode != 0:
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.2)

    def ask(self, path: str, message: Any = None) -> Any:
        """What the container's HTTP port answers: GET, or POST of a message."""
        done = self._question(path, b"" if message is None else json.dumps(message).encode())
        assert done.returncode == 0, done.stderr.decode()[-2000:] + self.log.read_text()[-2000:]
        return json.loads(done.stdout)

    def status(self) -> dict[str, str]:
        """What the kernel says about the first process: `Uid`, `CapEff`, `NoNewPrivs` ..."""
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def stop(self) -> None:
        """End it and all that it started."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=30)
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=30)

    def _entrypoint(self) -> list[str]:
        return [*self.config["Entrypoint"], *self.config["Cmd"]]

    def _question(self, path: str, body: bytes) -> subprocess.CompletedProcess[bytes]:
        assert self._process is not None
        space = f"--net=/proc/{self._process.pid}/ns/net"
        command = ["nsenter", space, sys.executable, "-c", _ASK, f"http://127.0.0.1:9000{path}"]
        return subprocess.run(command, input=body, capture_output=True, check=False, timeout=90)
