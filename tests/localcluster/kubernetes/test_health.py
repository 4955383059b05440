"""Which probes are asked when, and what their failures come to; time and answers are the test's."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from localcluster.kubernetes import tls
from localcluster.kubernetes.controller import health, probes
from localcluster.kubernetes.controller.health import Fault, Health

PORTS = {"9000": 40000}
ANSWER = {"tcpSocket": {"port": 9000}, "periodSeconds": 10, "failureThreshold": 2}


class Bench(Executor):
    """A container, a clock, and the answers that its probes get by their kind."""

    def __init__(self, clock: mock.Mock, probes: dict[str, Any]) -> None:
        self.container = {"name": "clf", "ports": [{"containerPort": 9000}], **probes}
        self._clock = clock
        self.answers: dict[str, str] = {}
        self.asked: list[str] = []
        self.health = Health(_since=clock())

    def submit(self, _check: Any, probe: Any, port: int) -> Future[str]:  # type: ignore[override]
        assert port == 40000
        kind = next((name for name in health.PROBES if self.container.get(name) is probe), "listening")
        self.asked.append(kind)
        answer: Future[str] = Future()
        answer.set_result(self.answers.get(kind, ""))
        return answer

    def run(self, seconds: float) -> list[Fault]:
        """Look ten times a second."""
        faults: list[Fault] = []
        for _ in range(round(seconds * 10)):
            faults += self.health.look(self.container, PORTS, self)
            self._clock.return_value += 0.1
        return faults


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A container with copies of ANSWER as the probes that the test names."""
    clock = mock.Mock(return_value=100.0)
    with mock.patch("localcluster.kubernetes.controller.health.time.monotonic", clock):
        yield Bench(clock, {name: dict(ANSWER) for name in request.param})


@pytest.mark.parametrize("bench", [()], indirect=True)
def test_a_container_without_probes_is_ready_once_it_listens(bench: Bench) -> None:
    bench.answers["listening"] = "refused"
    assert bench.run(1) == []
    assert (bench.health.started, bench.health.ready) == (True, False)
    bench.answers.clear()
    assert bench.run(1) == []
    assert bench.health.ready


@pytest.mark.parametrize("bench", [health.PROBES], indirect=True)
def test_until_it_has_started_nothing_else_is_asked(bench: Bench) -> None:
    bench.answers = {"startupProbe": "not yet", "livenessProbe": "no"}
    assert bench.run(5) == []
    assert set(bench.asked) == {"startupProbe"}
    assert not bench.health.started
    bench.answers = {}
    assert bench.run(1) == []
    assert (bench.health.started, bench.health.ready) == (True, True)
    bench.asked.clear()
    assert bench.run(30) == []
    assert set(bench.asked) == {"readinessProbe", "livenessProbe"}


@pytest.mark.parametrize("bench", [("startupProbe",)], indirect=True)
def test_a_container_that_does_not_start_in_the_time_given_is_restarted(bench: Bench) -> None:
    bench.answers["startupProbe"] = "refused"
    assert bench.run(19.5) == []
    (fault, *_) = bench.run(1)
    assert fault == Fault("Killing", "Container clf failed startup probe, will be restarted: refused", is_fatal=True)


@pytest.mark.parametrize("bench", [("livenessProbe",)], indirect=True)
def test_liveness_is_judged_after_as_many_failures_as_the_threshold_says(bench: Bench) -> None:
    assert bench.run(15) == []
    bench.answers["livenessProbe"] = "refused"
    assert bench.run(10) == []
    assert [fault.is_fatal for fault in bench.run(10)] == [True]


@pytest.mark.parametrize("bench", [("readinessProbe",)], indirect=True)
def test_readiness_is_lost_after_the_threshold_and_comes_back(bench: Bench) -> None:
    bench.run(1)
    bench.answers["readinessProbe"] = "busy"
    assert bench.run(10) == []
    assert bench.run(10) == [Fault("Unhealthy", "Readiness probe failed: busy", is_fatal=False)]
    assert not bench.health.ready
    bench.answers.clear()
    assert bench.run(11) == []
    assert bench.health.ready


DECLARING = {"ports": [{"name": "http", "containerPort": 9000}, {"containerPort": 6000}]}


@pytest.mark.parametrize(
    ("port", "found"),
    [
        (9000, 40000),
        ("http", 40000),
        (6000, 40001),
        (None, 40000),
        (1234, 1234),
        ("htp", probes.NOWHERE),
    ],
)
def test_a_probe_asks_the_port_that_it_names_and_no_other(port: int | str | None, found: int) -> None:
    probe = {"tcpSocket": {} if port is None else {"port": port}}
    assert probes.port_of(probe, DECLARING, {"9000": 40000, "6000": 40001}) == found


def test_a_port_by_a_name_that_there_is_not_is_a_failure() -> None:
    assert probes.check({"tcpSocket": {"port": "htp"}}, probes.NOWHERE) == "no port of the container is called 'htp'"
    assert probes.port_of({"tcpSocket": {}}, {}, {}) is None


class Found(http.server.BaseHTTPRequestHandler):
    """Answers all that is asked with 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


def test_a_probe_by_https_takes_any_certificate(tmp_path: Path) -> None:
    tls.ensure_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Found) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.server_address[1]
            assert probes.check({"httpGet": {"path": "/", "scheme": "HTTPS"}, "timeoutSeconds": 10}, port) == ""
            assert "HTTP probe" in probes.check(
                {"httpGet": {"path": "/", "scheme": "HTTP"}, "timeoutSeconds": 10}, port
            )
        finally:
            server.shutdown()
            thread.join()
