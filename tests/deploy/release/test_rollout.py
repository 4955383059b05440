"""The stages against running stand-ins: image, deploy, a new version, a broken one, predictions, the Swagger page."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from deploy.fashion_classifier.model import Classifier
from deploy.release import files, manifest, samples
from deploy.release.registry import Registered
from tests.deploy import grpc_client
from tests.deploy.chromium import Chromium
from tests.deploy.release.conftest import IMAGES
from tests.deploy.release.stages import Stages

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rollout")]


def test_a_deployed_version_answers_and_a_new_one_replaces_it(release: Stages, registered: Registered) -> None:
    release.make_image(registered)
    assert release.run("apply", "--timeout", "120").returncode == 0
    assert release.tags()["model_version"] == "3"
    record = release.make_image(Registered(4, "a" * 36, registered.artifact), 4)
    done = release.run("apply", "--timeout", "120")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{release.base}/predictions" in done.stdout
    assert release.tags()["model_version"] == "4"
    assert release.tags()["checkpoint"] == "a" * 36
    live = release.cluster.json("sdep", "fashion-classifier")
    assert live["spec"]["predictors"][0]["labels"]["model-version"] == "4"
    container = live["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]
    assert container["image"] == record["reference"]


def test_the_base_alone_drives_the_controller(release: Stages, tmp_path: Path) -> None:
    """By kubectl and kustomize alone: what base lacks is the image's digest, the one thing that is set here."""
    record = json.loads((release.build / "image.json").read_text())
    base = manifest.OVERLAYS.parent / "base"
    kustomization = {
        "resources": [os.path.relpath(base, tmp_path.resolve())],
        "images": [{"name": manifest.NAME, "digest": record["digest"]}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    release.cluster.run("delete", "sdep,pvc", "--all")  # what the overlay left must not help
    try:
        release.cluster.run("apply", "-k", str(tmp_path))
        release.cluster.available(manifest.NAME)
        wanted = yaml.safe_load((base / "deploy.yaml").read_text())["spec"]["predictors"]
        for container in wanted[0]["componentSpecs"][0]["spec"]["containers"]:
            container["image"] = record["reference"]
        assert release.cluster.json("sdep", manifest.NAME)["spec"]["predictors"] == wanted
        (deployment,) = release.cluster.json("deployments")["items"]
        assert deployment["status"]["availableReplicas"] == wanted[0]["replicas"] == 2
        assert [pod["status"]["phase"] for pod in release.cluster.pods(manifest.NAME)] == ["Running"] * 2
        assert release.tags()["model_version"] == str(record["model_version"])
    finally:
        done = release.run("apply", "--timeout", "120")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_unknown_image_fails_with_the_reason_and_the_old_version_serves_on(release: Stages) -> None:
    before = release.tags()
    good = (release.build / "image.json").read_text()
    record = json.loads(good) | {"reference": "fashion-classifier@sha256:" + "0" * 64}
    files.write_json(release.build / "image.json", record)
    done = release.run("apply", "--timeout", "60")
    assert done.returncode == 1
    assert "cannot start: ErrImagePull" in done.stderr or "cannot start: ImagePullBackOff" in done.stderr
    assert "pods:" in done.stderr
    assert release.tags() == before
    (release.build / "image.json").write_text(good)
    assert release.run("apply", "--timeout", "120").returncode == 0


def test_predict_shows_answers_and_a_curl_that_works(release: Stages) -> None:
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


def test_grpc_reaches_the_model_through_the_ingress_by_headers(release: Stages, classifier: Classifier) -> None:
    address = f"127.0.0.1:{release.cluster.settings.ingress_port}"
    message = {"binData": base64.b64encode(IMAGES[0].tobytes()).decode(), "meta": {"puid": "through"}}
    headers = {"seldon": "fashion-classifier", "namespace": "default"}
    feedback = {"request": message, "reward": 1}
    answer, metadata, taken = grpc_client.call(
        address, ("Predict", message), ("ModelMetadata", {}), ("SendFeedback", feedback), headers=headers
    )
    expected = classifier.probabilities(IMAGES[:1]).ravel()
    np.testing.assert_array_equal(np.float32(answer["data"]["tensor"]["values"]), expected)
    assert answer["meta"]["puid"] == "through"
    assert metadata["versions"] == [release.tags()["model_version"]]
    assert taken["meta"]["tags"]["feedback"] == "counted: there is no truth to store"
    (lost,) = grpc_client.call(address, ("Predict", message), headers=headers | {"seldon": "another"})
    assert lost["status"] == "UNIMPLEMENTED"


@pytest.mark.parametrize(
    ("count", "batch", "payload"),
    # The last are as many as the test split has; as lists they take the processor itself minutes.
    [(30, 7, "ndarray"), (30, 7, "tensor"), (10_000, 97, "tensor")],
)
def test_seldons_batch_processor_gets_the_models_answers(
    release: Stages, classifier: Classifier, tmp_path: Path, count: int, batch: int, payload: str
) -> None:
    images = np.random.default_rng(4).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    given, answered = tmp_path / "images.txt", tmp_path / "answers.txt"
    given.write_text("".join(json.dumps(image.reshape(1, -1).tolist()) + "\n" for image in images))
    settings = release.cluster.settings
    command = [
        *(settings.serving_environment / "bin" / "seldon-batch-processor", "--deployment-name", "fashion-classifier"),
        *("--gateway-type", "istio", "--namespace", "default", "--host", f"127.0.0.1:{settings.ingress_port}"),
        *("--transport", "rest", "--data-type", "data", "--payload-type", payload, "--method", "predict"),
        *("--workers", "4", "--batch-size", str(batch), "--input-data-path", given, "--output-data-path", answered),
    ]
    done = subprocess.run(
        [str(each) for each in command], env=release.environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in answered.read_text().splitlines()]
    answers.sort(key=lambda answer: answer["meta"]["tags"]["batch_index"])
    values = [answer["data"][payload] for answer in answers]
    rows = np.array([each["values"] if payload == "tensor" else each[0] for each in values])
    np.testing.assert_allclose(rows, classifier.probabilities(images), rtol=0, atol=1e-6)


def test_predict_says_what_is_missing(release: Stages) -> None:
    done = release.run("predict", "--source", "nothing@master")
    assert done.returncode == 1
    assert "run make data" in done.stderr
    assert samples.SOURCE == "fmnist-test@master"


def test_the_swagger_page_opens_in_a_browser_and_its_example_succeeds(release: Stages, tmp_path: Path) -> None:
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
