"""Container processes: started in sessions of their own, so that they outlive the controller, and found again by it.

A record (`process.json`) says which process runs a container; pid and creation time together are unique.  Each process
carries its container's directory in its environment, so one whose record was never written is found and ended.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from localcluster.files import write_atomically
from localcluster.settings import HOST

MARK = "LOCALCLUSTER_CONTAINER"
PORTS = range(20000, 30000)
"""Below the range from which Linux takes ports for outgoing connections."""
LAST_LINES, LAST_BYTES = 5, 1000
"""How much of its log is told of a container that died."""

_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass
class Process:
    """One run of a container; `ports` maps declared container ports to those really listened on."""

    pid: int
    created: float
    started_at: str
    restarts: int
    ports: dict[str, int]
    image_digest: str

    def save(self, directory: Path) -> None:
        """Write the record."""
        write_atomically(directory / "process.json", json.dumps(asdict(self)))

    @property
    def alive(self) -> bool:
        """Whether the process still runs; reaps it if it was our child."""
        if child := _children.get(self.pid):
            return child.poll() is None
        try:
            found = psutil.Process(self.pid)
            return found.create_time() == self.created and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    @property
    def exit_code(self) -> int | None:
        """As a shell shows it; None while it runs, or where another process was its parent."""
        child = _children.get(self.pid)
        code = child.poll() if child else None
        return code if code is None or code >= 0 else 128 - code

    def signal(self, number: int) -> None:
        """Send a signal to the container's first process."""
        if self.alive:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the container's first process and all it started."""
        if self.alive or not psutil.pid_exists(self.pid):
            _kill_group(self.pid)
        if child := _children.pop(self.pid, None):
            child.wait(timeout=10)

    def serving(self) -> bool:
        """Whether a connection to its first port is open, or could be; without a port, whether it runs."""
        if not self.ports:
            return self.alive
        first = next(iter(self.ports.values()))
        wanted = (psutil.CONN_LISTEN, psutil.CONN_ESTABLISHED)
        return any(c.laddr and c.laddr.port == first and c.status in wanted for c in psutil.net_connections("tcp"))


def load(directory: Path) -> Process | None:
    """The record of a container's latest run, if there was one."""
    try:
        return Process(**json.loads((directory / "process.json").read_text()))
    except FileNotFoundError:
        return None


def start(directory: Path, argv: list[str], environment: dict[str, str], cwd: Path, log: Path) -> tuple[int, float]:
    """Start a container's process; returns pid and creation time, raises OSError if it cannot be executed."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment | {MARK: str(directory)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    return child.pid, psutil.Process(child.pid).create_time()


def on_end(pid: int, call: Callable[[], None]) -> None:
    """Call from another thread once a process has ended, where the kernel tells (pidfd_open(2)); a look tells, too."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # Its pid is free again, the kernel is older, or there are too many open files.
        return

    def wait() -> None:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        ended.poll()
        os.close(descriptor)
        call()

    threading.Thread(target=wait, name=f"end of {pid}", daemon=True).start()


def end_strays(pods: Path) -> None:
    """Kill what runs for a container below `pods` without being on record there."""
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
            if (
                mark
                and Path(mark).is_relative_to(pods)
                and os.getsid(process.pid) != getattr(load(Path(mark)), "pid", 0)
            ):
                process.kill()
        except (psutil.Error, OSError):
            continue


def free_ports(count: int, taken: set[int]) -> list[int]:
    """Ports of the loopback address that nothing listens on now and that `taken` does not hold."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        if port not in taken:
            found.append(port)
    return found


def wait_for_end(processes: list[Process], seconds: float) -> None:
    """Wait until none of the processes runs or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(process.alive and process.serving() for process in processes):
        time.sleep(0.05)


def last_lines(log: Path) -> str:
    """What a container's log ends with, for a sentence."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - LAST_BYTES))
            lines = stream.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    found = "\n".join([line for line in lines if line.strip()][-LAST_LINES:])
    return f"; the log ends:\n{found}" if found else ""


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
