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
from collections.abc import Callable

GRACE = 10
"""Seconds that gRPC calls in progress have after SIGTERM."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
"""Linux, prctl(2): the signal that a process gets when its parent dies, and who becomes the parent of its children."""
_PAUSE = 0.01
"""Seconds between two looks at what still runs."""


def end_together() -> None:
    """From now on, every process forked here or below gets SIGTERM when its parent ends.

    Called in the first process, before it starts the others.
    """
    library = ctypes.CDLL(None, use_errno=True)

    def in_child() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    def at_exit() -> None:
        for child in multiprocessing.active_children():
            child.terminate()

    os.register_at_fork(after_in_child=in_child)
    _register_here(at_exit)


def end_last() -> None:
    """Have this process wait, when it ends, until all below it have ended, at most GRACE and a second.

    Called before `end_together`, since what is registered last is done first.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _register_here(_wait_for_children)


def _register_here(function: Callable[[], None]) -> None:
    """Call a function when this process ends, and not when one does that was forked from it."""
    first = os.getpid()

    def at_exit() -> None:
        if os.getpid() == first:
            function()

    atexit.register(at_exit)


def _wait_for_children() -> None:
    """Until all processes below have ended, or are killed; those whose parent has ended are children of this one."""
    deadline = time.monotonic() + GRACE + 1
    while time.monotonic() < deadline:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(_PAUSE)
    for child in multiprocessing.active_children():  # For which multiprocessing would wait without an end.
        child.kill()
