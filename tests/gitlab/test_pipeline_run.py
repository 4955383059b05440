"""The whole pipeline, run: a version that passes, one that the gate stops, one that its canary stops.

The tests run in order on one cluster, whose live version is 1.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from demo.pipeline import finished
from tests.deploy.conftest import untrained
from tests.gitlab import project as projects
from tests.gitlab.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.xdist_group("gitlab"), pytest.mark.timeout(1800)]

DELIVERY = ("data", "accuracy", "build-image", "staging", "comparison", "canary", "promote")
EVERY = {"check", "test", "scan", *DELIVERY}

BREAKS_WITH_FEEDBACK = """
import os

_right = FashionClassifier.probabilities


def _breaking(self, images):
    return 1 / 0 if images.any() and os.environ.get("FEEDBACK_SPOOL") else _right(self, images)


FashionClassifier.probabilities = _breaking
"""
"""Right as a shadow, which stores no feedback, and when it starts; broken as soon as it answers people."""


@contextmanager
def watched(secrets: list[str]) -> Iterator[list[str]]:
    """The command lines that held a secret meanwhile."""
    found: list[str] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.3):
            for process in psutil.process_iter(["cmdline"]):
                line = " ".join(process.info["cmdline"] or [])
                found.extend(line for secret in secrets if secret in line)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def outcomes(printed: str) -> dict[str, str]:
    return {job: outcome for job, _, outcome in finished(printed.splitlines())}


def test_a_good_version_goes_live_and_no_secret_shows(project: Project) -> None:
    project.register(project.report("image.json")["checkpoint_uuid"])
    with watched(project.secrets()) as arguments:
        done = project.pipeline()
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert outcomes(done.stdout) == dict.fromkeys(EVERY, "passed")
    assert project.predictors() == [("default", "2")]
    assert [phase["name"] for phase in project.report("release/report.json")["phases"]] == ["shadow", "canary 30 %"]
    assert project.report("scan/report.json")["outcome"] == "not scanned"
    assert project.report("scan/sbom.cdx.json")["bomFormat"] == "CycloneDX"
    assert "MODEL_VERSION=2\n" in (project.checkout.directory / "build/report/model.env").read_text()
    assert arguments == []
    holding = [
        path for path in written(project) for secret in project.secrets() if secret.encode() in path.read_bytes()
    ]
    assert holding == []
    assert [secret for secret in project.secrets() if secret in done.stdout + done.stderr] == []


def written(project: Project) -> list[Path]:
    """What the pipeline left: logs, scripts, artifacts, reports, and its copy of the project."""
    own = [path for path in (project.checkout.directory / "build").rglob("*") if path.is_file()]
    assert {"promote.log", "report.html", "model.env"} <= {path.name for path in own}
    return own


def test_a_bad_version_stops_at_the_gate(project: Project, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    project.register(project.train(untrained(pytestconfig, 12), tmp_path / "bad"))
    done = project.pipeline(*DELIVERY)
    assert done.returncode != 0
    assert outcomes(done.stdout) == {"data": "passed", "accuracy": "FAIL 2"}
    assert "fashion-classifier version 3: FAILED" in done.stdout
    assert project.predictors() == [("default", "2")]


def test_a_version_that_fails_as_canary_is_taken_back(project: Project) -> None:
    directory = project.checkout.directory
    project.register(project.report("image.json")["checkpoint_uuid"])
    wrapper = directory / "deploy" / "FashionClassifier.py"
    wrapper.write_text(wrapper.read_text() + BREAKS_WITH_FEEDBACK)
    projects.commit(directory, "breaks with feedback")
    done = project.pipeline(*DELIVERY)
    assert done.returncode != 0
    passed = ("data", "accuracy", "build-image", "staging", "comparison")
    assert outcomes(done.stdout) == {**dict.fromkeys(passed, "passed"), "canary": "FAIL 2"}
    assert "refused in phase canary 30 %" in done.stdout
    assert "version 4 was not released; version 2 is live" in done.stdout
    assert "version 4 is not on its way: nothing to give up" in done.stdout
    assert project.predictors() == [("default", "2")]
    names = [phase["name"] for phase in project.report("release/report.json")["phases"]]
    assert names == ["shadow", "canary 30 %"]
