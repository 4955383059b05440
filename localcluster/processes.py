"""Processes that outlive whoever started them: started in a session of their own, found again by pid and start time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from localcluster.files import write_atomically


@dataclass(frozen=True)
class ProcessRecord:
    """One incarnation of a process; the start time (Unix seconds) tells it from a later one with the same pid."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessRecord:
        """The record of a process that is running now."""
        return cls(pid, psutil.Process(pid).create_time())

    @classmethod
    def read(cls, path: Path) -> ProcessRecord | None:
        """The record that `write` left in `path`; None where there is none."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Keep the record for a later process."""
        write_atomically(path, json.dumps(asdict(self)))

    def process(self) -> psutil.Process | None:
        """The process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            alive = abs(process.create_time() - self.started) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


def start_detached(argv: Iterable[str], environment: Mapping[str, str], log: Path, directory: Path) -> ProcessRecord:
    """Start a process in a session of its own, its output appended to `log`.

    The log of a long life is moved aside (`<log>.1`) when it has passed 20 MB, at the next start.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > 20_000_000:
        log.replace(log.with_name(f"{log.name}.1"))
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(argv),
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return ProcessRecord.of(process.pid)


def stop(process: psutil.Process, grace: float) -> bool:
    """SIGTERM, then SIGKILL after `grace` seconds; True where SIGTERM was enough."""
    try:
        process.send_signal(signal.SIGTERM)
        process.wait(grace)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(grace)
        return False
    return True


def marked(variable: str, value: str) -> Iterator[psutil.Process]:
    """All other processes of this user whose environment has `variable=value`."""
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(variable) == value:
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue


def listener(host: str, port: int) -> str | None:
    """Who listens on a TCP port: name and pid, 'another process' where the system hides it, None if nobody does."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or connection.laddr.port != port:
            continue
        if connection.laddr.ip not in (host, "0.0.0.0", "::", "::1"):  # noqa: S104 - compared, not bound
            continue
        if connection.pid is None:
            return "another process"
        with contextlib.suppress(psutil.NoSuchProcess):
            return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None
