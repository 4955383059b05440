"""The stages against running stand-ins: image, deploy, a new version, a broken one, predictions, the Swagger page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pachyderm_sdk.api import pfs

from deploy.release import files, image, samples
from deploy.release.registry import Registered
from localcluster.kubernetes import tools
from tests.conftest import validated
from tests.contract.pachyderm.pachd import LocalPachd
from tests.deploy.chromium import Chromium
from tests.localcluster.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rollout")]


class Release:
    """A cluster, and the stages run as `make` runs them."""

    def __init__(self, cluster: Cluster, pachd: LocalPachd, build: Path) -> None:
        self.cluster, self.build = cluster, build
        self.environment = {
            **os.environ,
            "BUILD_DIR": str(build),
            "KUBECONFIG": str(cluster.home / "kubernetes" / "kubeconfig"),
            "KUBECTL": str(cluster.kubectl),
            "PACH_CONFIG": str(pachd.config),
            "NO_PROXY": "127.0.0.1",
            "HTTP_PROXY": "http://127.0.0.1:1",
        }

    def make_image(self, registered: Registered) -> dict[str, Any]:
        record = image.build(registered, self.cluster.images, revision=None, epoch=0)
        files.write_json(self.build / "image.json", record)
        return record

    def run(self, stage: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"deploy.release.{stage}", *arguments]
        return subprocess.run(
            command, cwd=files.REPOSITORY, env=self.environment, capture_output=True, text=True, timeout=240
        )

    @property
    def base(self) -> str:
        port = self.cluster.settings.ingress_port
        return f"http://127.0.0.1:{port}/seldon/default/fashion-classifier/api/v1.0"

    def tags(self) -> Any:
        message = json.dumps({"data": {"tensor": {"shape": [784], "values": [0] * 784}}}).encode()
        status, answer = self.cluster.request("fashion-classifier", "api/v1.0/predictions", message)
        assert status == 200, answer
        return answer["meta"]["tags"]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, registered: Registered) -> Iterator[Release]:
    """Version 3 is deployed."""
    home = tmp_path_factory.mktemp("home")
    kubectl = tools.extract_kubectl(tmp_path_factory.getbasetemp().parent / "kubectl-under-test")
    cluster, pachd = Cluster(home, kubectl), LocalPachd(home)
    try:
        pachd.start()
        cluster.start("kubernetes")
        cluster.start("ingress")
        running = Release(cluster, pachd, tmp_path_factory.mktemp("build"))
        running.make_image(registered)
        done = running.run("apply", "--timeout", "120")
        assert done.returncode == 0, done.stdout + done.stderr
        upload(pachd)
        yield running
    finally:
        cluster.stop()
        pachd.kill()


def upload(pachd: LocalPachd) -> None:
    images = np.random.default_rng(3).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    labels = np.tile(np.arange(10, dtype=np.uint8), 4)
    client = pachd.client()
    repo = pfs.Repo(name="fmnist-test")
    client.pfs.create_repo(repo=repo)
    with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        for name, data in validated(images, labels).items():
            client.pfs.put_file_from_bytes(commit=commit, path=f"/{name}", data=data)


def test_a_deployed_version_answers_and_a_new_one_replaces_it(release: Release, registered: Registered) -> None:
    assert release.tags()["model_version"] == "3"
    record = release.make_image(Registered(4, "a" * 36, registered.artifact))
    done = release.run("apply", "--timeout", "120")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{release.base}/predictions" in done.stdout
    assert release.tags()["model_version"] == "4"
    assert release.tags()["checkpoint"] == "a" * 36
    live = release.cluster.json("sdep", "fashion-classifier")
    assert live["spec"]["predictors"][0]["labels"]["model-version"] == "4"
    container = live["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]
    assert container["image"] == record["reference"]


def test_an_unknown_image_fails_with_the_reason_and_the_old_version_serves_on(release: Release) -> None:
    before = release.tags()
    good = (release.build / "image.json").read_text()
    record = json.loads(good) | {"reference": "fashion-classifier@sha256:" + "0" * 64}
    files.write_json(release.build / "image.json", record)
    done = release.run("apply", "--timeout", "60")
    assert done.returncode == 1
    assert "ErrImagePull" in done.stderr
    assert "pods:" in done.stderr
    assert release.tags() == before
    (release.build / "image.json").write_text(good)
    assert release.run("apply", "--timeout", "120").returncode == 0


def test_predict_shows_answers_and_a_curl_that_works(release: Release) -> None:
    done = release.run("predict", "--count", "3")
    assert done.returncode == 0, done.stderr
    assert "T-shirt/top" in done.stdout
    assert f"{release.base}/doc/" in done.stdout
    command = done.stdout[done.stdout.index("curl") :].replace("\\\n", " ")
    assert f"@{release.build / 'sample.json'}" in command
    if shutil.which("curl"):
        pasted = subprocess.run(
            ["sh", "-c", f"{command.strip()} -s"],
            env=release.environment,
            cwd=files.REPOSITORY,
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert len(json.loads(pasted.stdout)["data"]["names"]) == 10


def test_predict_says_what_is_missing(release: Release) -> None:
    done = release.run("predict", "--source", "nothing@master")
    assert done.returncode == 1
    assert "run make data" in done.stderr
    assert samples.SOURCE == "fmnist-test@master"


def test_the_swagger_page_opens_in_a_browser_and_its_example_succeeds(release: Release, tmp_path: Path) -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    browser = Chromium(program, tmp_path)
    try:
        browser.call("Page.navigate", url=f"{release.base}/doc")
        browser.click(".opblock-post .opblock-summary-method", ".opblock-post .btn.execute")
        browser.click(".opblock-post .btn.execute", ".live-responses-table")
        answer = browser.until("(document.querySelector('.live-responses-table .microlight') || {}).innerText")
        code = browser.evaluate(
            "document.querySelector('.live-responses-table tr.response .response-col_status').innerText"
        )
        assert code.strip().startswith("200")
        assert json.loads(answer)["data"]["names"][9] == "Ankle boot"
        problems = [event for event in browser.events if event["method"] in PROBLEMS]
        assert not problems
        requests = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
        hosts = {url.split("/")[2] for url in requests if not url.startswith("data:")}
        assert hosts == {release.base.split("/")[2]}
    finally:
        browser.stop()


PROBLEMS = ("Runtime.exceptionThrown", "Network.loadingFailed", "Log.entryAdded")
