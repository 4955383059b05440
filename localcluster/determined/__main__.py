"""Run the Determined master in the foreground: `python -m localcluster.determined`.

Settings come from the environment (all optional):
    LOCALCLUSTER_HOME              directory of all state (default: .localcluster in the checkout)
    LOCALCLUSTER_DETERMINED_PORT   port on 127.0.0.1 (default 8080)
    LOCALCLUSTER_DETERMINED_SLOTS  trials at once; each gets cores/slots threads (default 1)

By hand, from the checkout:
    LOCALCLUSTER_HOME=/tmp/det LOCALCLUSTER_DETERMINED_PORT=18080 .venv/bin/python -m localcluster.determined &
    export DET_MASTER=http://127.0.0.1:18080 DET_USER=determined DET_PASS=$(cat /tmp/det/secrets/determined)
    .venv/bin/det user whoami

SIGTERM lets running trials checkpoint (10 s at most), then ends; they go on after the next start.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn

from localcluster.determined.app import application
from localcluster.determined.master import Master
from localcluster.errors import LocalClusterError, PortTaken, ServiceNotReady
from localcluster.settings import HOST, Settings


class Server(uvicorn.Server):
    """Uvicorn that leaves the signals to `serve`: the API must answer while trials checkpoint."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def take(settings: Settings) -> tuple[socket.socket, int]:
    """Take the port and the home before touching any state; return the socket and the lock's descriptor.

    Raises PortTaken naming the variable, and ServiceNotReady where another master serves this home.
    """
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is: else each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, settings.determined_port))
    except OSError as error:
        where = f"{HOST}:{settings.determined_port}"
        raise PortTaken(f"cannot listen on {where}: {error.strerror}; set LOCALCLUSTER_DETERMINED_PORT") from error
    root = settings.home / "determined"
    root.mkdir(parents=True, exist_ok=True)
    lock = os.open(root / "master.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ServiceNotReady(f"another Determined master serves {settings.home}; end it first") from error
    return listener, lock


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    master = Master(settings)
    server = Server(
        uvicorn.Config(
            application(master),
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
    )
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    master.start()
    logging.getLogger("determined").info("serving http://%s:%d", HOST, settings.determined_port)
    await asyncio.wait([serving, asyncio.create_task(told.wait())], return_when=asyncio.FIRST_COMPLETED)
    await master.stop()
    server.should_exit = True
    await serving
    master.db.close()


def main() -> None:
    """Read the settings and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m localcluster.determined",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings.from_environment()
    try:
        listener, _ = take(settings)
        asyncio.run(serve(settings, listener))
    except LocalClusterError as error:
        sys.exit(f"determined: {error}")


if __name__ == "__main__":
    main()
