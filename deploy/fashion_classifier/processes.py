"""Makes the microservice's processes end together.

seldon-core-microservice starts gunicorn, the gRPC server with its workers and the metrics server as processes of its
own, and on SIGTERM ends only gunicorn: then it waits for the others until the kubelet kills it, so that every rollout
would take the whole grace period.  Killed outright, it leaves the others behind, listening.

With a container's first process all others end at once, so that it has to wait for those that have calls to answer.
"""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import signal
import time

GRACE = 10
"""Seconds that gRPC calls in progress have after SIGTERM."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
"""Linux, prctl(2): the signal that a process gets when its parent dies, and who becomes the parent of its children."""
_PAUSE = 0.01
"""Seconds between two looks at what still runs."""


def end_together() -> None:
    """From now on, every process forked here or below gets SIGTERM when its parent ends, and this one ends last.

    Called in the first process, before it starts the others.
    """
    first = os.getpid()
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def in_child() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    def at_exit() -> None:
        if os.getpid() == first:
            for child in multiprocessing.active_children():
                child.terminate()
            _wait_for_children(time.monotonic() + GRACE + 1)

    os.register_at_fork(after_in_child=in_child)
    atexit.register(at_exit)


def _wait_for_children(deadline: float) -> None:
    """Until all processes below have ended; those whose parent has ended are children of the first process."""
    while time.monotonic() < deadline:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(_PAUSE)
