"""What `up`, `down`, `status` and `reset` do; the command line only parses and prints."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from localcluster import platforms
from localcluster.errors import LocalClusterError, PortTaken, ServiceNotReady, SettingsError
from localcluster.files import remove_tree
from localcluster.processes import ProcessRecord, listener, marked, start_detached, stop
from localcluster.services import Service
from localcluster.settings import HOST, REPOSITORY, Settings
from localcluster.supervisor import lock, record_path

READY_WITHIN = 60.0
"""Seconds that one `up` waits for all services together."""

STOP_WITHIN = 30.0
"""Seconds that a service gets to end its children and itself before it is killed."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class ServiceStatus:
    """One line of `status`; `pid` and `since` (Unix seconds) are None where the service does not run."""

    service: Service
    state: str
    pid: int | None
    since: float | None


def up(settings: Settings, report: Report) -> list[ServiceStatus]:
    """Start what does not run, and return when every service is ready.

    Raises PortTaken, ServiceNotReady (with the end of the service's log) or SettingsError.
    """
    with _exclusive(settings):
        _refuse_another_address(settings)
        services = platforms.services(settings)
        for service in services:
            _check_port(settings, service)
        platforms.prepare(settings)
        settings.save()
        if _running(settings, "supervisor") is None:
            supervisor = start_detached(
                [sys.executable, "-m", "localcluster", "supervise"],
                platforms.service_environment(settings),
                settings.logs / "supervisor.log",
                REPOSITORY,
            )
            supervisor.write(record_path(settings, "supervisor"))
        _await_ready(settings, services, report)
    return status(settings)


def down(settings: Settings, report: Report) -> int:
    """Stop the supervisor, then the services, last started first; returns how many processes ended."""
    with _exclusive(settings):
        names = ["supervisor", *(service.name for service in reversed(platforms.services(settings)))]
        stopped = 0
        for name in names:
            process = _running(settings, name)
            if process is not None:
                if not stop(process, STOP_WITHIN):
                    report(f"{name} did not end within {STOP_WITHIN:.0f} s and was killed")
                stopped += 1
            record_path(settings, name).unlink(missing_ok=True)
        for process in list(marked(platforms.MEMBER, str(settings.home))):
            stop(process, STOP_WITHIN)
            stopped += 1
        return stopped


def status(settings: Settings) -> list[ServiceStatus]:
    """What every service does at this moment."""
    return [_status(settings, service) for service in platforms.services(settings)]


def reset(settings: Settings, report: Report) -> None:
    """Stop the cluster and delete all its state."""
    down(settings, report)
    if settings.home.exists():
        remove_tree(settings.home)


def _status(settings: Settings, service: Service) -> ServiceStatus:
    process = _running(settings, service.name)
    if process is None:
        return ServiceStatus(service, "stopped", None, None)
    state = "ready" if service.ready() else "starting"
    return ServiceStatus(service, state, process.pid, process.create_time())


def _running(settings: Settings, name: str) -> psutil.Process | None:
    record = ProcessRecord.read(record_path(settings, name))
    return record.process() if record is not None else None


def _refuse_another_address(settings: Settings) -> None:
    kept = Settings.from_environment({"LOCALCLUSTER_HOME": str(settings.home)})
    if _running(settings, "supervisor") is not None and settings.environment() != kept.environment() | {
        "LOCALCLUSTER_SERVING_ENV": str(settings.serving_environment)
    }:
        raise SettingsError(
            f"the cluster in {settings.home} already runs with other LOCALCLUSTER_* settings; "
            "unset them, or run `make down` first"
        )


def _check_port(settings: Settings, service: Service) -> None:
    if _running(settings, service.name) is not None:
        return
    holder = listener(HOST, service.port)
    if holder is not None:
        raise PortTaken(
            f"port {service.port} of {service.title} is taken by {holder}; stop it, or choose another port: "
            f"{service.port_variable}=<port> make up"
        )


def _await_ready(settings: Settings, services: list[Service], report: Report) -> None:
    deadline = time.monotonic() + READY_WITHIN
    waiting = list(services)
    while waiting:
        for service in list(waiting):
            if service.ready():
                report(f"{service.title} is ready on {service.address}")
                waiting.remove(service)
        if waiting and time.monotonic() > deadline:
            names = ", ".join(service.title for service in waiting)
            log = settings.logs / f"{waiting[0].name}.log"
            raise ServiceNotReady(
                f"{names} not ready within {READY_WITHIN:.0f} s. The end of {log}:\n{_end_of(settings, waiting[0])}"
            )
        if waiting:
            time.sleep(0.05)


def _end_of(settings: Settings, service: Service) -> str:
    path = settings.logs / f"{service.name}.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-15:]) if path.exists() else "(empty)"


@contextmanager
def _exclusive(settings: Settings) -> Iterator[None]:
    """One `up`, `down` or `reset` at a time in a home; a second one waits its turn for up to two minutes."""
    deadline = time.monotonic() + 120
    while (held := lock(settings, "command")) is None:
        if time.monotonic() > deadline:
            raise LocalClusterError(f"another up, down or reset of {settings.home} did not end within 120 s")
        time.sleep(0.1)
    try:
        yield
    finally:
        held.close()
