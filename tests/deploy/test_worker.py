"""gunicorn's worker that answers small predictions in its loop: which ones, and what slow clients do to it."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.fashion_classifier.model import Classifier
from deploy.release.registry import Registered
from localcluster.settings import HOST
from tests.deploy.conftest import unpack
from tests.deploy.microservice import Microservice

V1 = "/api/v1.0/predictions"
IMAGE = np.random.default_rng(23).integers(0, 256, (1, 28, 28), dtype=np.uint8)
BODY = json.dumps({"data": {"tensor": {"shape": [28, 28], "values": IMAGE.ravel().tolist()}}}).encode()
HEAD = f"POST {V1} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
PROBES = (b"health/status", b"health/ping", b"ready", b"live")
REQUEST = HEAD.encode() + b"\r\n" + BODY


@pytest.fixture(scope="module")
def worker() -> Iterator[ModuleType]:
    """The module, with a stand-in for gunicorn, which only the serving environment has."""

    class ThreadWorker:
        accepted = 0

        def accept(self, _server: Any, _listener: Any) -> None:
            self.accepted += 1

        def run(self) -> None:
            pass

    gthread = mock.Mock(ThreadWorker=ThreadWorker)
    workers = mock.Mock(gthread=gthread)
    arbiter = mock.Mock(Arbiter=mock.Mock(SIG_QUEUE=[]))
    gunicorn = mock.Mock(workers=workers, arbiter=arbiter)
    modules = {"gunicorn": gunicorn, "gunicorn.workers": workers, "gunicorn.arbiter": arbiter}
    with mock.patch.dict(sys.modules, modules):
        from deploy.fashion_classifier import worker

        yield worker


@pytest.mark.parametrize("told", [[], [signal.SIGTERM]])
def test_a_sigterm_that_came_while_the_worker_was_forked_ends_it(
    worker: ModuleType, monkeypatch: pytest.MonkeyPatch, told: list[int]
) -> None:
    monkeypatch.setattr(worker.Arbiter, "SIG_QUEUE", told)
    started = worker.DirectWorker()
    started.cfg = mock.Mock(graceful_timeout=30)
    started.run()
    assert (started._ends_by is not None) == bool(told)


def test_predictions_and_probes_need_no_thread(worker: ModuleType) -> None:
    for request in (
        REQUEST,
        REQUEST.replace(b"Content-Length", b"content-length"),
        REQUEST.replace(V1.encode(), b"/api/v0.1/predictions"),
        *(b"GET /" + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" for path in PROBES),
    ):
        assert worker.size_of(request) == len(request)


@given(st.integers(0, len(REQUEST) - 1))
def test_a_requests_size_is_known_once_its_head_is_there(worker: ModuleType, length: int) -> None:
    expected = len(REQUEST) if length >= len(REQUEST) - len(BODY) else None
    assert worker.size_of(REQUEST[:length]) == expected


@pytest.mark.parametrize(
    "other",
    [
        REQUEST.replace(b"/predictions", b"/feedback"),
        REQUEST.replace(b"POST", b"GET"),
        HEAD.encode().replace(b"Content-Length", b"X-Length") + b"\r\n" + BODY,
        b"POST " + V1.encode() + b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY,
        REQUEST.replace(str(len(BODY)).encode(), b"65536"),
    ],
    ids=["feedback", "another method", "no length", "chunked", "large"],
)
def test_everything_else_has_a_thread(worker: ModuleType, other: bytes) -> None:
    assert worker.size_of(other) is None


def test_between_two_new_connections_another_worker_has_time_to_take_one(worker: ModuleType) -> None:
    one = worker.DirectWorker()
    with mock.patch.object(worker.time, "monotonic", side_effect=[1.0, 1.0, 1.0 + worker.PAUSE / 2, 1.1, 1.1]):
        for _ in range(3):
            one.accept(None, None)
    assert one.accepted == 2


@pytest.mark.slow
@pytest.mark.xdist_group("microservice")
def test_clients_that_do_not_send_on_keep_nobody_waiting(microservice: Microservice, classifier: Classifier) -> None:
    with ExitStack() as stack:
        for sent in (0, 10, len(HEAD) + 2, len(REQUEST) - 1):
            # More of each than there are threads, so that any of these kinds alone would stop gunicorn's own worker.
            for _ in range(10):
                slow = stack.enter_context(socket.create_connection((HOST, microservice.http), timeout=30))
                slow.sendall(REQUEST[:sent])
        for path in PROBES:
            assert microservice.get(f"/{path.decode()}").status_code == 200
        answer = microservice.post(json.loads(BODY))
        np.testing.assert_allclose(
            answer.json()["data"]["tensor"]["values"], classifier.probabilities(IMAGE)[0], atol=1e-5
        )


@pytest.mark.slow
@pytest.mark.xdist_group("microservice")
def test_one_connection_carries_requests_of_every_kind_in_turn(microservice: Microservice) -> None:
    with (
        socket.create_connection((HOST, microservice.http), timeout=30) as connection,
        connection.makefile("rb") as file,
    ):
        for request, status in (
            (REQUEST, 200),
            (b"GET /health/status HTTP/1.1\r\nHost: x\r\n\r\n", 200),
            (REQUEST, 200),
            (REQUEST.replace(b"784", b"783"), 200),
            (REQUEST.replace(b"[28, 28]", b"[28, 27]"), 400),
            (REQUEST.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n"), 200),
        ):
            connection.sendall(request)
            assert int(file.readline().split()[1]) == status
            length = 0
            while (line := file.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert len(file.read(length)) == length
        assert file.read() == b""


@pytest.mark.slow
@pytest.mark.xdist_group("microservice")
def test_a_body_may_come_long_after_its_head(microservice: Microservice) -> None:
    head = len(REQUEST) - len(BODY)
    with (
        socket.create_connection((HOST, microservice.http), timeout=30) as connection,
        connection.makefile("rb") as file,
    ):
        for parts in ((head, head + 100), (head + 1,), (head - 2, head), ()):
            begin = 0
            for end in (*parts, len(REQUEST)):
                connection.sendall(REQUEST[begin:end])
                # Until the worker has looked, which nothing shows; sooner makes the test weaker, never wrong.
                threading.Event().wait(0.05)
                begin = end
            assert file.readline().split()[1] == b"200"
            lines = list(iter(file.readline, b"\r\n"))
            (length,) = (int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:"))
            assert len(file.read(length)) == length


def _answered(connection: socket.socket) -> tuple[int, bool]:
    """The next answer's status, and whether it says that the connection ends."""
    response = HTTPResponse(connection)
    response.begin()
    assert json.loads(response.read())["data"]
    return response.status, response.will_close


@pytest.fixture
def short_lived(registered: Registered, tmp_path: Path) -> Iterator[Microservice]:
    """A microservice that the test starts and ends; with one thread, gunicorn would take its other kind of worker."""
    running = Microservice(unpack(registered, tmp_path), workers=2, threads=2)
    running.environment["GUNICORN_KEEPALIVE"] = "75"
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.slow
@pytest.mark.xdist_group("microservice")
def test_who_asked_before_the_end_is_answered(short_lived: Microservice) -> None:
    short_lived.start()
    assert short_lived.process
    with ExitStack() as stack:

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection((HOST, short_lived.http), timeout=30))

        known = [connect() for _ in range(20)]
        for connection in known:
            connection.sendall(REQUEST)
            assert _answered(connection) == (200, False)
        children = psutil.Process(short_lived.process.pid).children(recursive=True)
        for child in children:
            child.suspend()
        late = [connect() for _ in range(20)]
        for connection in (*known, *late):
            connection.sendall(REQUEST)
        short_lived.process.terminate()
        for child in children:
            child.terminate()
            child.resume()
        # A thread may take the signal while the loop already answers: of such an answer the client cannot be told.
        answers = [_answered(connection) for connection in (*known, *late)]
        assert {status for status, _ in answers} == {200}
        assert any(is_last for _, is_last in answers)
        assert all(connection.recv(1) == b"" for connection in (*known, *late))
    assert short_lived.process.wait(30) == 0


@pytest.mark.slow
@pytest.mark.xdist_group("microservice")
def test_a_worker_that_has_answered_enough_is_replaced_without_a_request_lost(short_lived: Microservice) -> None:
    short_lived.environment["GUNICORN_MAX_REQUESTS"] = "30"
    short_lived.start()

    def ask_until_told_to_leave(_number: int) -> int:
        with socket.create_connection((HOST, short_lived.http), timeout=30) as connection:
            for count in range(1, 1000):
                connection.sendall(REQUEST)
                status, is_last = _answered(connection)
                assert status == 200
                if is_last:
                    return count
        raise AssertionError("no worker was replaced in 1,000 requests")

    with ThreadPoolExecutor(20) as pool:
        assert len(list(pool.map(ask_until_told_to_leave, range(200)))) == 200


@pytest.mark.slow
@pytest.mark.xdist_group("microservice")
def test_a_client_that_leaves_in_the_middle_disturbs_no_other(microservice: Microservice) -> None:
    for sent in (3, len(HEAD), len(REQUEST) - 5, len(REQUEST)):
        with socket.create_connection((HOST, microservice.http), timeout=30) as connection:
            connection.sendall(REQUEST[:sent])
        assert microservice.post(json.loads(BODY)).status_code == 200
