"""A container's life: its first answers, processes that are killed, its end, and a model that it must not serve."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import requests

from localcluster.settings import HOST
from tests.deploy import grpc_client
from tests.deploy.microservice import Microservice
from tests.localcluster.kubernetes.cluster import until

IMAGE = {"data": {"tensor": {"shape": [28, 28], "values": [number % 256 for number in range(784)]}}}


@contextmanager
def started(root: Path, **variables: str) -> Iterator[Microservice]:
    """A container with one worker that is ready, and these environment variables besides."""
    running = Microservice(root, workers=1, threads=1)
    running.environment |= variables
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_a_cold_start_takes_no_connection_or_answers_right(registered_rootfs: Path) -> None:
    running = Microservice(registered_rootfs, workers=2, threads=4)
    statuses: list[int] = []
    try:
        process = running.spawn()
        deadline = time.monotonic() + 60
        while len(statuses) < 100:
            assert process.poll() is None, running.log.read_text()
            assert time.monotonic() < deadline, f"100 answers: there are {len(statuses)}"
            with suppress(requests.ConnectionError):
                statuses.append(running.post(IMAGE).status_code)
        assert statuses == [200] * 100
        answers = grpc_client.call(f"127.0.0.1:{running.grpc}", ("Predict", IMAGE))
        assert "error" not in answers[0]
    finally:
        running.stop()


def test_a_terminated_container_leaves_no_process_behind(registered_rootfs: Path) -> None:
    with started(registered_rootfs) as running:
        assert running.process is not None
        family = psutil.Process(running.process.pid).children(recursive=True)
        assert len(family) > 3
        running.process.terminate()
        running.process.wait(timeout=15)
        assert not psutil.wait_procs(family, timeout=15)[1]


@pytest.mark.slow
def test_a_container_that_is_told_to_stop_answers_the_calls_that_have_come(registered_rootfs: Path) -> None:
    with started(registered_rootfs) as running:
        message = {"binData": base64.b64encode(bytes(300 * 784)).decode()}
        with ThreadPoolExecutor() as pool:
            calls = pool.submit(grpc_client.call, f"127.0.0.1:{running.grpc}", *[("Predict", message)] * 100)
            deadline = time.monotonic() + 60
            while not running.images():
                assert time.monotonic() < deadline, "no call was answered"
            assert running.process is not None
            family = psutil.Process(running.process.pid).children(recursive=True)
            running.process.terminate()
            assert running.process.wait(timeout=20) == 0
            assert not [each for each in family if each.is_running()], "the container would have ended before them"
            answers = calls.result()
        assert [len(answer["data"]["tensor"]["values"]) for answer in answers] == [3_000] * 100


def grpc_processes(running: Microservice) -> list[psutil.Process]:
    """The processes that listen on the gRPC port, and the one that keeps them."""
    assert running.process is not None
    found = psutil.Process(running.process.pid).children(recursive=True)
    listening = [each for each in found if _listens(each, running.grpc)]
    return [*listening, *filter(None, {each.parent() for each in listening})]


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in process.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_grpc_processes_that_are_killed_are_followed_by_others(registered_rootfs: Path) -> None:
    with started(registered_rootfs, GRPC_WORKERS="2") as running:
        until(lambda: len(grpc_processes(running)) == 3, "both processes listen")
        before = grpc_processes(running)
        for process in before[:2]:
            process.kill()
        psutil.wait_procs(before[:2], timeout=10)
        until(lambda: len(grpc_processes(running)) == 3, "two others listen")
        assert grpc_processes(running)[-1] == before[-1]
        answers = grpc_client.call(f"127.0.0.1:{running.grpc}", *[("Predict", IMAGE)] * 20)
        assert [answer["meta"]["tags"]["model_version"] for answer in answers] == ["3"] * 20


def metrics_processes(running: Microservice) -> list[psutil.Process]:
    """The metrics server's processes, its first one last."""
    assert running.process is not None
    found = psutil.Process(running.process.pid).children(recursive=True)
    return [each for each in reversed(found) if _listens(each, running.metrics)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed", "grpc_workers"),
    [
        pytest.param(lambda running: grpc_processes(running)[-1:], 2, id="the keeper of gRPC"),
        pytest.param(grpc_processes, 2, id="all of gRPC"),
        pytest.param(lambda running: metrics_processes(running)[-1:], 1, id="the first of metrics"),
        pytest.param(metrics_processes, 1, id="all of metrics"),
    ],
)
def test_a_container_ends_without_one_of_its_servers(
    registered_rootfs: Path, killed: Callable[[Microservice], list[psutil.Process]], grpc_workers: int
) -> None:
    with started(registered_rootfs, GRPC_WORKERS=str(grpc_workers)) as running:
        until(lambda: len(grpc_processes(running)) == grpc_workers + 1, "gRPC listens")
        until(lambda: len(metrics_processes(running)) == 2, "the metrics server listens")
        assert running.process is not None
        family = psutil.Process(running.process.pid).children(recursive=True)
        for process in killed(running):
            process.kill()
        assert running.process.wait(timeout=20) == 1
        assert "server's first process has ended" in running.log.read_text()
        assert not psutil.wait_procs(family, timeout=15)[1]


@pytest.mark.slow
def test_a_client_of_the_metrics_server_that_asks_nothing_keeps_no_container(registered_rootfs: Path) -> None:
    with started(registered_rootfs) as running:
        assert running.process is not None
        with socket.create_connection((HOST, running.metrics), timeout=10):
            running.process.terminate()
            assert running.process.wait(timeout=20) == 0


def test_a_damaged_model_stops_the_start_with_the_reason(registered_rootfs: Path) -> None:
    (registered_rootfs / "model" / "model.tflite").write_bytes(b"damaged")
    running = Microservice(registered_rootfs, workers=1, threads=1)
    try:
        assert running.spawn().wait(timeout=60) != 0
        assert "model.tflite has SHA-256" in running.log.read_text()
    finally:
        running.stop()
