"""What the supervisor needs to know of the Determined master."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

from localcluster.files import secret
from localcluster.services import Service
from localcluster.settings import HOST, Settings

USER = "determined"
_READY_TIMEOUT = 2.0


def prepare(settings: Settings) -> None:
    """Create the secret that is the first users' password."""
    secret(settings.home / "secrets" / USER)


def services(settings: Settings) -> list[Service]:
    """One process: the master.  Its agents are processes of their own that it starts and adopts."""
    address = f"http://{HOST}:{settings.determined_port}"
    return [
        Service(
            name="determined",
            title="Determined master",
            argv=(sys.executable, "-m", "localcluster.determined"),
            address=address,
            port=settings.determined_port,
            port_variable="LOCALCLUSTER_DETERMINED_PORT",
            ready=lambda: _answers(f"{address}/info"),
        )
    ]


def client_environment(settings: Settings) -> dict[str, str]:
    """Return the variables by which the det CLI and SDK find the master and log in."""
    return {
        "DET_MASTER": f"http://{HOST}:{settings.determined_port}",
        "DET_USER": USER,
        "DET_PASS": secret(settings.home / "secrets" / USER),
    }


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_READY_TIMEOUT) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
