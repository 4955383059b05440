"""Keeps the gRPC server's processes, as gunicorn keeps its workers: one that ends is followed by another.

Seldon's microservice starts them once and waits for them.  Where they had been killed nobody would answer gRPC any
more, and the probes, which ask over HTTP, would find nothing wrong.  Where the one that keeps them is killed, they end,
and so does the container (`arbiter`).
"""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from typing import Any, NoReturn

from seldon_core import microservice

PAUSE = 1.0
"""Seconds that lie at least between the start of a process and that of the one which follows it."""

_logger = logging.getLogger(__name__)


def install() -> None:
    """Let the microservice of this process keep its gRPC processes.

    Called by the wrapper's constructor, which Seldon runs before it makes its servers.
    """
    microservice._make_grpc_server = _make_grpc_server


def _make_grpc_server(
    user_object: Any, seldon_metrics: Any, args: Any, annotations: dict[str, str]
) -> Callable[[], NoReturn]:
    """What Seldon's function of this name makes: the program of the process whose children answer gRPC."""

    def server() -> NoReturn:
        with microservice._reserve_grpc_port(args.grpc_port) as port:
            given = (user_object, seldon_metrics, args, annotations, f"0.0.0.0:{port}")
            keep(args.grpc_workers, partial(microservice._run_grpc_server, *given))

    return server


def keep(count: int, serve: Callable[[], Any]) -> NoReturn:
    """Have `count` processes that `serve`, until this one ends."""
    running = dict[int, tuple[multiprocessing.Process, float]]()
    while True:
        while len(running) < count:
            process = multiprocessing.Process(target=serve)
            process.start()
            running[process.sentinel] = (process, time.monotonic())
        for sentinel in wait([*running]):
            assert isinstance(sentinel, int)
            process, started = running.pop(sentinel)
            process.join()
            _logger.warning("gRPC process %s ended (exit code %s); another follows", process.pid, process.exitcode)
            time.sleep(max(0.0, started + PAUSE - time.monotonic()))
