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

    def manage_workers(self) -> None:
        """Keep the workers, in each turn of the loop; a child's end begins one.  Raises HaltServer without the others.

        gunicorn waits for every child, so multiprocessing does not learn what became of its own.
        """
        ended = [process.pid for process in self._beside if not _is_there(process)]
        if ended and not self.SIG_QUEUE:  # Told to stop, it does so next, and the others may have been told, too.
            raise HaltServer(f"the metrics server's or the gRPC server's first process has ended: {ended}", STATUS)
        super().manage_workers()


def _is_there(process: BaseProcess) -> bool:
    assert process.pid is not None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
