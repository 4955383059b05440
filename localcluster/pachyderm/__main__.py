"""Run pachd in the foreground (`python -m localcluster.pachyderm`), or prove its stored bytes (`… fsck`)."""

from __future__ import annotations

import logging
import signal
import sqlite3
import sys
import threading

from localcluster.errors import LocalClusterError, PortTaken
from localcluster.pachyderm import service
from localcluster.pachyderm.pipelines.master import Master
from localcluster.pachyderm.servicer.server import serve
from localcluster.pachyderm.state.store import Store
from localcluster.settings import HOST, Settings

GRACE = 3.0
"""Seconds that calls in progress get to end when the service is told to."""

log = logging.getLogger("pachd")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    service.prepare(settings)
    store = Store(settings.home / "pachyderm")
    master = Master(store)
    address = f"{HOST}:{settings.pachyderm_port}"
    try:
        server = serve(store, service.token(settings), address)
    except RuntimeError as error:
        raise PortTaken(
            f"cannot listen on {address} ({error}); stop the process that does or set LOCALCLUSTER_PACHYDERM_PORT"
        ) from error
    master.start()
    log.info("serving %s at grpc://%s", settings.home / "pachyderm", address)
    # An endless wait can sleep through a signal that comes in just before it; a bounded one looks again.
    while not stop.wait(0.5):
        continue
    server.stop(GRACE).wait(GRACE + 1)
    master.stop()
    log.info("stopped")


def fsck(settings: Settings) -> int:
    """Print every fault of the stored state; 0 where there is none.  pachd must not be running."""
    try:
        faults = list(Store(settings.home / "pachyderm").fsck())
    except sqlite3.DatabaseError as error:
        faults = [_unreadable(error)]
    for fault in faults:
        print(fault)
    print(f"{len(faults)} faults in {settings.home / 'pachyderm'}")
    return 1 if faults else 0


def _unreadable(error: sqlite3.DatabaseError) -> str:
    return f"database: {error}; restore the directory from a backup, or begin anew (make reset)"


def main(arguments: list[str]) -> int:
    """Dispatch on the one optional argument."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings.from_environment()
    try:
        if arguments == ["fsck"]:
            return fsck(settings)
        if arguments:
            print("usage: python -m localcluster.pachyderm [fsck]", file=sys.stderr)
            return 2
        run(settings)
    except LocalClusterError as error:
        log.error("%s", error)
        return 1
    except sqlite3.DatabaseError as error:
        log.error("%s: %s", settings.home / "pachyderm", _unreadable(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
