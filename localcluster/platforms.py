"""The platforms of the local cluster and what they add up to: their services and their clients' environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import localcluster.determined.service
import localcluster.kubernetes.service
import localcluster.pachyderm.service
from localcluster.services import Service
from localcluster.settings import HOST, Settings

PLATFORMS: tuple[ModuleType, ...] = (
    localcluster.pachyderm.service,
    localcluster.determined.service,
    localcluster.kubernetes.service,
)

MEMBER = "LOCALCLUSTER_MEMBER"
"""Set to the home directory in every process of a local cluster, so that `down` finds them all."""


def prepare(settings: Settings) -> None:
    """Create what every platform needs before its services start; changes nothing the second time."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for platform in PLATFORMS:
        platform.prepare(settings)


def services(settings: Settings) -> list[Service]:
    """All services, in starting order."""
    return [service for platform in PLATFORMS for service in platform.services(settings)]


def client_environment(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables by which the genuine clients find this cluster, and by which proxies are kept away from it."""
    variables: dict[str, str] = {}
    for platform in PLATFORMS:
        variables |= platform.client_environment(settings)
    variables["IMAGE_LAYOUT"] = str(settings.images)
    inherited = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    hosts = [host for host in inherited.split(",") if host]
    exempt = ",".join([*hosts, *(host for host in (HOST, "localhost") if host not in hosts)])
    return variables | {"NO_PROXY": exempt, "no_proxy": exempt}


def service_environment(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a service runs with: the caller's environment, this cluster's addresses, this Python's tools first."""
    tools = str(Path(sys.executable).parent)
    path = environ.get("PATH", os.defpath)
    own = {"PATH": f"{tools}{os.pathsep}{path}", "PYTHONUNBUFFERED": "1", MEMBER: str(settings.home)}
    return {**environ, **settings.environment(), **client_environment(settings, environ), **own}
