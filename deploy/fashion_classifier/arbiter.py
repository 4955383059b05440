"""gunicorn's first process, which here ends when a server beside it has ended, for the kubelet to start all anew.

Seldon's microservice starts the metrics server, and the process that keeps those of gRPC, once, before it becomes
gunicorn's first process.  Where one of them had been killed nobody would answer Prometheus or gRPC any more, and the
probes, which ask gunicorn, would find nothing wrong.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.process import BaseProcess

from gunicorn.app import base  # type: ignore[import-untyped,unused-ignore]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped,unused-ignore]
from gunicorn.errors import HaltServer  # type: ignore[import-untyped,unused-ignore]

STATUS = 1
"""What the container ends with then; workers answer what has come before."""


def install() -> None:
    """Let the gunicorns of this process and those below be of this class.

    Called by the wrapper's constructor, which Seldon runs before it starts the servers.  With Seldon's SELDON_DEBUG,
    Flask's own server takes gunicorn's place, and nothing is noticed.
    """
    base.Arbiter = MindfulArbiter


class MindfulArbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """An arbiter that minds the processes which multiprocessing has started in its own."""

    _beside: tuple[BaseProcess, ...] = ()

    def start(self) -> None:
        """Begin to listen, and to mind the others."""
        self._beside = tuple(multiprocessing.active_children())
        super().start()

    def reap_workers(self) -> None:
        """Take note of the children that have ended, at each SIGCHLD.  Raises HaltServer if one is none of gunicorn's.

        gunicorn waits for any child, so multiprocessing does not learn what became of its own.
        """
        super().reap_workers()
        ended = [process.pid for process in self._beside if not _is_there(process)]
        if ended and self.LISTENERS:  # There are none while it stops, when the others may end.
            raise HaltServer(
                f"The metrics server or the gRPC server's first process has ended (pid {ended[0]}).", STATUS
            )


def _is_there(process: BaseProcess) -> bool:
    assert process.pid is not None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
