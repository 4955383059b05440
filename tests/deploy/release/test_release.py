"""Releases and rollbacks against running stand-ins: a good version, bad ones, a killed release, a lost image."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deploy.release import files
from deploy.release.registry import Registered
from tests.deploy.release.stages import Stages
from tests.localcluster.kubernetes.cluster import until

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.xdist_group("rollout"), pytest.mark.timeout(600)]

IMAGES = ("--images", "100")
REQUEST = json.dumps({"data": {"tensor": {"shape": [784], "values": [7] * 784}}}).encode()

CHANGED = """
_right = FashionClassifier.probabilities

def _changed(self, images):
    {statement}

FashionClassifier.probabilities = _changed
"""
WRONG = CHANGED.format(statement="return np.roll(_right(self, images), 1, axis=1)")
RAISING = CHANGED.format(statement="return _right(self, images) if not images.any() else 1 / 0")


@contextmanager
def load(release: Stages) -> Iterator[list[tuple[int, Any]]]:
    """One client that never stops asking; yields what was answered."""
    answers: list[tuple[int, Any]] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            status, answer = release.cluster.request("fashion-classifier", "api/v1.0/predictions", REQUEST)
            answers.append((status, answer["meta"]["tags"]["model_version"] if status == 200 else answer))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()


def deploy(release: Stages, registered: Registered, version: int) -> None:
    release.make_image(registered, version)
    done = release.run("apply", "--timeout", "120")
    assert done.returncode == 0, done.stdout + done.stderr


def mirrored(report: dict[str, Any]) -> str:
    """What the report of the shadow's phase says of its counters."""
    (shadow,) = (phase for phase in report["phases"] if phase["name"] == "shadow")
    sentences: list[str] = [finding["sentence"] for finding in shadow["findings"] if finding["rule"] == "mirror"]
    assert len(sentences) == 1
    return sentences[0]


def test_a_good_version_is_promoted_without_a_failed_request_and_rolled_back_and_forth(
    release: Stages, registered: Registered
) -> None:
    deploy(release, registered, 10)
    release.make_image(registered, 11)
    with load(release) as answers:
        done = release.run("release", *IMAGES, "--canary-steps", "30")
        assert done.returncode == 0, done.stdout + done.stderr
        assert release.live() == [("default", "11")]
        assert release.run("rollback").returncode == 0
        assert release.live() == [("default", "10")]
        assert release.run("rollback").returncode == 0
        assert release.live() == [("default", "11")]
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {"10", "11"}
    report = json.loads((release.build / "release" / "report.json").read_text())
    assert [phase["name"] for phase in report["phases"]] == ["shadow", "canary 30 %"]
    counted = re.fullmatch(
        r"by its own counters the shadow classified (\d+) images, the live version (\d+); in the model a request took "
        r"[\d.]+ ms, in the live one [\d.]+ ms; the shadow refused none, the live version none",
        mirrored(report),
    )
    assert counted is not None, mirrored(report)
    assert min(int(counted[1]), int(counted[2])) >= 95, "of 100 images through the ingress, and what the load asked"
    assert report["live"]["model_version"] == "10"
    assert "| split | ok | version 11 gave" in (release.build / "release" / "report.md").read_text()
    told = [(each["action"], each["version"], each["verdict"]) for each in release.history()[:4]]
    assert told == [
        ("rollback", "11", "live"),
        ("rollback", "10", "live"),
        ("release", "11", "live"),
        ("deploy", "10", "live"),
    ]
    events = release.cluster.run("get", "events").stdout
    assert "hpaSpec has no effect on the local cluster" in events


@pytest.mark.parametrize(("change", "rule"), [(WRONG, "accuracy"), (RAISING, "errors")], ids=["wrong", "raising"])
def test_a_bad_version_stops_at_the_shadow_and_nobody_notices(
    release: Stages, registered: Registered, change: str, rule: str
) -> None:
    deploy(release, registered, 20)
    release.make_image(registered, 21, change)
    with load(release) as answers:
        done = release.run("release", *IMAGES)
    assert done.returncode == 1
    assert "release: refused in phase shadow" in done.stderr
    assert release.live() == [("default", "20")]
    assert set(answers) == {(200, "20")}
    report = json.loads((release.build / "release" / "report.json").read_text())
    assert rule in [finding["rule"] for finding in report["phases"][-1]["findings"] if not finding["ok"]]
    refused = re.search(r"the shadow refused (\d+) with status 500, the live version none$", mirrored(report))
    assert (refused is not None) == (change == RAISING), mirrored(report)
    if refused is not None:
        assert int(refused[1]) >= 95
    newest = release.history()[0]
    assert (newest["version"], newest["verdict"]) == ("21", "refused")
    assert "phase shadow" in newest["reason"]


def test_a_release_killed_at_its_canary_is_given_up_by_rollback(release: Stages, registered: Registered) -> None:
    deploy(release, registered, 30)
    release.make_image(registered, 31)
    command = release.command("release", *IMAGES, "--canary-steps", "50")
    process = subprocess.Popen(command, cwd=files.REPOSITORY, env=release.environment, stdout=subprocess.DEVNULL)
    try:
        weights = ("sdep", "fashion-classifier")
        until(
            lambda: [each.get("traffic") for each in release.cluster.json(*weights)["spec"]["predictors"]] == [50, 50],
            "the canary has its weight",
            240,
        )
    finally:
        process.kill()
        process.wait()
    assert release.live() == [("default", "30"), ("candidate", "31")]
    done = release.run("rollback")
    assert done.returncode == 0, done.stderr
    assert "the unfinished release was given up; version 30 is live" in done.stdout
    assert release.live() == [("default", "30")]


def test_an_image_that_is_gone_is_named_and_what_was_live_stays(release: Stages, registered: Registered) -> None:
    deploy(release, registered, 40)
    entries = release.history()
    entries[0] |= {"version": "39", "image": "fashion-classifier@sha256:" + "0" * 64}
    data = {"data": {"history.json": json.dumps(entries)}}
    release.cluster.run("patch", "configmap", "fashion-classifier-deployments", "--type=merge", "-p", json.dumps(data))
    done = release.run("rollback")
    assert done.returncode == 1
    assert "MODEL_VERSION=39 make image deploy builds it anew" in done.stderr
    # ErrImagePull at first, ImagePullBackOff from then on.
    assert "ImagePull" in done.stderr
    assert release.live() == [("default", "40")]
    assert release.tags()["model_version"] == "40"


def test_the_first_version_is_judged_alone_and_a_bad_one_leaves_nothing(
    release: Stages, registered: Registered
) -> None:
    release.cluster.run("delete", "sdep", "fashion-classifier")
    release.make_image(registered, 50, RAISING)
    done = release.run("release", *IMAGES)
    assert done.returncode == 1
    assert "refused in phase first deployment" in done.stderr
    assert release.cluster.json("sdep")["items"] == []
    release.make_image(registered, 51)
    done = release.run("release", *IMAGES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert release.live() == [("default", "51")]
    assert [(each["version"], each["verdict"]) for each in release.history()[:2]] == [("51", "live"), ("50", "refused")]
