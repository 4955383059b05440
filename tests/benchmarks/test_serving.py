"""The measurements of serving: what the log says, what a stack belongs to, the page, and the servers as they start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from benchmarks.serving import ingress, load, measure, process, profiler, report
from benchmarks.serving.servers import ENVIRONMENTS, SERVERS, STEPS, WRAPPER
from deploy.fashion_classifier.model import Classifier
from localcluster.settings import HOST, REPOSITORY
from tests.deploy.conftest import serving
from tests.localcluster.kubernetes.cluster import until

__all__ = ["serving"]  # A fixture.


def run_of(server: str, number: int, rate: float, **more: Any) -> dict[str, Any]:
    loads = {name: {"per_second": rate, "p50": 1000 / rate, "p99": 2000 / rate} for name in ("one", "many", "hundred")}
    memory = {"processes": 3, "all": 150.0, "largest": 60.0}
    return {
        "server": server,
        "round": number,
        "load_before": 0.5,
        "ready": 1.5,
        "memory": memory,
        "site_packages": 200.0,
        **loads,
        **more,
    }


RESULTS: dict[str, Any] = {
    "hardware": "a machine",
    "python": "3.11",
    "load_generator": "h2load",
    "seconds": 1,
    "model": "0",
    "parameters": 92_714,
    "variables": {"GUNICORN_WORKERS": "2"},
    "runs": [
        *(run_of(WRAPPER, number, 3000.0, grpc_raw={"per_second": 6000.0, "p50": 1, "p99": 2}) for number in (0, 1)),
        *(run_of("kserve", number, 1500.0) for number in (1, 0)),
        {key: value for key, value in run_of(report.BARE, 0, 90.0).items() if key != "many"}
        | {"one": {"per_second": 4000.0}, "grpc": {"per_second": 8000.0}},
    ],
}


def test_the_page_pairs_rounds_and_says_what_was_measured(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    report.write(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "| KServe | 2 | 2.00 (2.00 to 2.00) |" in page
    assert "| gRPC raw bytes, 32 connections, direct | 6,000 (6,000 to 6,000) |" in page
    assert "do 4,000 images/s one at a time, and 9,000 by the hundred" in page
    assert "0.75 (0.75 to 0.75) of the former" in page
    assert "8,000 requests/s of one image; the wrapper, behind a server of its own" in page.replace("\n", " ")
    assert "in step, 0.75 (0.75 to 0.75) of it." in page.replace("\n", " ")
    assert (tmp_path / "throughput.png").stat().st_size > 1000


def test_each_change_is_compared_with_those_before_it(tmp_path: Path) -> None:
    rates = {"without": 500.0, "counters": 1000.0, "counters-worker": 2000.0}
    steps = [run_of(name, number, rate) for number in (0, 1) for name, rate in rates.items()]
    (tmp_path / "results.json").write_text(json.dumps(RESULTS | {"runs": [*RESULTS["runs"], *steps]}))
    report.write(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "| the wrapper without the three | 2 | 500 (500 to 500) |  | 4.0 (4.0 to 4.0) |" in page
    gains = [row.split(" | ")[3] for row in page.splitlines() if row.startswith("| and `")]
    assert gains == ["2.00 (2.00 to 2.00)", "2.00 (2.00 to 2.00)", "1.50 (1.50 to 1.50)"]
    assert "without the three" not in page.partition("## What each change")[0], "they are no peers"


@pytest.mark.parametrize("folder", [path.parent for path in report.HERE.glob("results.json")])
def test_the_committed_page_is_made_of_the_committed_results(folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text())
    assert (folder / "README.md").read_text() == report.page(results), "run: python -m benchmarks.serving.report"


def test_percentiles_are_those_of_the_requests_that_were_timed() -> None:
    rows = [[0, 0, 900_000], *([start, 200, 1000 * (start + 1)] for start in range(100))]
    found = load.summary(np.array(rows), seconds=2)
    assert found == {"requests": 100, "per_second": 50.0, "p50": 50.5, "p99": 99.01}
    with pytest.raises(SystemExit, match="no request was answered"):
        load.summary(np.array(rows[:1]), seconds=2)


@pytest.mark.parametrize(
    ("stack", "part"),
    [
        ("run (gunicorn/a.py:1);wsgi_app (flask/app.py:2);forward (x/fashion_classifier/model.py:61)", "forward pass"),
        ("wsgi_app (flask/app.py:2);update (x/fashion_classifier/counters.py:1)", "metrics"),
        ("wsgi_app (flask/app.py:2);parse (x/fashion_classifier/payload.py:1)", "wrapper: checks, meta, hooks"),
        ("_answer (x/fashion_classifier/worker.py:7);wsgi_app (flask/app.py:2)", "Flask, Werkzeug, Seldon"),
        ("wsgi_app (flask/app.py:2);scores (x/fashion_classifier/outliers.py:61)", "outliers"),
        ("run (gunicorn/a.py:1);recv (gunicorn/http/x.py:2)", "gunicorn: sockets, HTTP, threads"),
        ("something (else.py:1)", "other"),
    ],
)
def test_a_stack_belongs_to_the_innermost_part(stack: str, part: str) -> None:
    assert profiler.part(stack) == part


def test_every_peer_has_a_lock_that_is_explained() -> None:
    explained = (REPOSITORY / "docs" / "dependencies.md").read_text().partition("## Peers of a benchmark")[2]
    environments = measure.environments(measure.NAMES)
    assert {path.parent for path in environments} == {ENVIRONMENTS}
    for environment in environments:
        assert all((measure.LOCKS / f"{environment.name}.{end}").exists() for end in ("in", "txt"))
        assert environment.name in explained


def test_each_round_takes_every_server_once_in_another_order() -> None:
    orders = [tuple(measure._rotated(measure.NAMES, number)) for number in range(measure.ROUNDS)]
    assert len(set(orders)) == measure.ROUNDS
    assert {frozenset(order) for order in orders} == {frozenset(measure.NAMES)}


@pytest.mark.slow
@pytest.mark.xdist_group("microservice")
def test_the_wrapper_is_measured_as_it_is_deployed(serving: Path, tmp_path: Path) -> None:
    checkpoint, server = tmp_path / "checkpoint", SERVERS[WRAPPER]
    checkpoint.mkdir()
    (checkpoint / "serving").symlink_to(serving)
    process.lay_out_wrapper(checkpoint, tmp_path / "image")
    classifier = Classifier(serving / "model.tflite")
    images = np.random.default_rng(1).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    with process.running(WRAPPER, server, checkpoint, tmp_path) as running:
        process.check(running, classifier, images)
        assert set(process.grpc_bodies(running, classifier, images[:1], tmp_path)) == {"tensor", "tftensor", "raw"}
        with pytest.raises(SystemExit, match="its probabilities differ"):
            process._compare("it", np.zeros(30), classifier.probabilities(images))
        with ingress.ingress(running, tmp_path) as port:
            url = f"http://{HOST}:{port}{ingress.prefix()}{server.path}"
            answer = requests.post(url, json=server.request(images), timeout=60)
        assert answer.status_code == 200
        memory = running.memory()
        assert memory["processes"] > 4
        assert 0 < memory["largest"] < memory["all"]


@pytest.mark.slow
@pytest.mark.xdist_group("microservice")
def test_without_its_changes_the_wrapper_answers_by_seldons_own_means(serving: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "serving").symlink_to(serving)
    process.lay_out_wrapper(checkpoint, tmp_path / "image")
    classifier = Classifier(serving / "model.tflite")
    images = np.zeros((1, 28, 28), np.uint8)
    for name, server in STEPS.items():
        expected = 9 if name == "without" else 8  # Seldon's metrics have a process of their own, which manages them.
        with process.running(name, server, checkpoint, tmp_path) as running:
            process.check(running, classifier, images)
            assert _settled(running, expected) == expected


def _settled(running: process.Running, expected: int) -> float:
    """How many processes there are once there are as many as expected; gRPC's come last."""
    until(lambda: running.memory()["processes"] >= expected, f"{expected} processes")
    return running.memory()["processes"]
