"""Makes the microservice's processes end together.

seldon-core-microservice starts gunicorn, the gRPC server with its workers and the metrics server as processes of its
own, and on SIGTERM ends only gunicorn: then it waits for the others until the kubelet kills it, so that every rollout
would take the whole grace period.  Killed outright, it leaves the others behind, listening.
"""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import signal

_PR_SET_PDEATHSIG = 1
"""Linux, prctl(2): the signal that a process gets when its parent dies."""


def end_together() -> None:
    """From now on, every process forked here or below gets SIGTERM when its parent ends.

    Called in the first process, before it starts the others.
    """
    first = os.getpid()
    library = ctypes.CDLL(None, use_errno=True)

    def in_child() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    def at_exit() -> None:
        if os.getpid() == first:
            for child in multiprocessing.active_children():
                child.terminate()

    os.register_at_fork(after_in_child=in_child)
    atexit.register(at_exit)
