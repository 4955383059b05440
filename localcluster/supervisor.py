"""Keeps the services running: adopts those that run, starts those that do not, restarts those that die.

The services do not need the supervisor to go on: each has a session of its own, and a new supervisor finds it again
by the record in `<home>/run/`.  Exactly one supervisor runs per home; a file lock holds that.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from localcluster import platforms
from localcluster.errors import LocalClusterError
from localcluster.processes import ProcessRecord, start_detached
from localcluster.services import Service
from localcluster.settings import REPOSITORY, Settings

log = logging.getLogger("localcluster.supervisor")

SHORTEST_BACK_OFF = 0.2
LONGEST_BACK_OFF = 10.0
STEADY_AFTER = 30.0
"""Seconds after which a service counts as steady and its next death is restarted without waiting."""


def record_path(settings: Settings, name: str) -> Path:
    """Where the process record of a service, or of `supervisor`, lies."""
    return settings.home / "run" / f"{name}.json"


def lock(settings: Settings, name: str) -> IO[str] | None:
    """Take the lock `name` of this home for as long as the file stays open; None where another process has it."""
    path = settings.home / "run" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("w")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    return stream


@dataclass
class Keeper:
    """Keeps one service running."""

    service: Service
    settings: Settings
    back_off: float = SHORTEST_BACK_OFF
    started: float = field(default=0.0)
    not_before: float = 0.0

    def check(self) -> None:
        """Adopt, start or restart the service where it does not run; waits out the back-off between restarts."""
        path = record_path(self.settings, self.service.name)
        record = ProcessRecord.read(path)
        now = time.monotonic()
        if record is not None and record.process() is not None:
            if now - self.started > STEADY_AFTER:
                self.back_off = SHORTEST_BACK_OFF
            return
        if self.started and not self.not_before:
            log.warning("%s died; starting it again in %.1f s", self.service.name, self.back_off)
            self.not_before = now + self.back_off
            self.back_off = min(self.back_off * 2, LONGEST_BACK_OFF)
        if now >= self.not_before:
            self.start(path)

    def start(self, path: Path) -> None:
        """Start the service and write down which process it is."""
        environment = platforms.service_environment(self.settings) | dict(self.service.environment)
        output = self.settings.logs / f"{self.service.name}.log"
        record = start_detached(self.service.argv, environment, output, REPOSITORY)
        record.write(path)
        self.started, self.not_before = time.monotonic(), 0.0
        log.info("%s runs as pid %d on %s", self.service.name, record.pid, self.service.address)


def supervise(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; leaves the services running."""
    held = lock(settings, "supervisor")
    if held is None:
        print("another supervisor runs for this home", file=sys.stderr)
        return 1
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    keepers = [Keeper(service, settings) for service in platforms.services(settings)]
    while not stopped.is_set():
        _reap()
        for keeper in keepers:
            try:
                keeper.check()
            except (OSError, LocalClusterError):
                log.exception("%s cannot be started", keeper.service.name)
                keeper.not_before = time.monotonic() + keeper.back_off
        stopped.wait(0.1)
    return 0


def _reap() -> None:
    """Collect dead children, so that none stays a zombie."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
