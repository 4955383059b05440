"""Another data set of the same format: handwritten digits, through the pipelines, training and gate that clothes take.

What differs is what README.md says: the data repos, and the label list in specs and configuration.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from determined.experimental import Determined
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from PIL import Image
from sklearn.datasets import load_digits

from data.catalog import TEST, TRAIN
from pipelines import jobs
from tests.conftest import idx
from tests.fmnist.conftest import REPOSITORY
from tests.fmnist.stages.services import Stages, services

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("digits"), pytest.mark.timeout(600)]

Bytes = npt.NDArray[np.uint8]
TRAINED = 1400
"""Of the 1,797 digits; the others are the test split."""


def digits() -> tuple[Bytes, Bytes]:
    """Scikit-learn's scans of handwritten digits (UCI, E. Alpaydin and C. Kaynak), 8x8 pixels, in the size of MNIST."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    pictures = [Image.fromarray((15 * found.images[at]).astype(np.uint8)).resize((28, 28)) for at in order]
    return np.stack([np.asarray(picture) for picture in pictures]), found.target[order].astype(np.uint8)


def shell(section: str) -> str:
    """The commands of a section of README.md."""
    text = (REPOSITORY / "README.md").read_text().split(f"# {section}\n", 1)[1]
    found = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1]


def spec(split: str) -> dict[str, Any]:
    """The spec of a pipeline of digits, as README.md's command makes it of that of the clothes."""
    (edit,) = re.findall(r"sed .*?\.json(?= \|)", shell("Other data: MNIST digits"), re.DOTALL)
    done = subprocess.run(
        ["sh", "-c", edit], cwd=REPOSITORY, env={**os.environ, "split": split}, capture_output=True, check=True
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """A master and a pachd of one's own, with the digits validated by its pipelines."""
    home = tmp_path_factory.mktemp("home")
    with services(home) as clients:
        client = Client.from_config(clients["PACH_CONFIG"])
        commits = []
        images, labels = digits()
        for split, files, part in (("train", TRAIN, slice(TRAINED)), ("test", TEST, slice(TRAINED, None))):
            client.pfs.create_repo(repo=pfs.Repo(name=f"mnist-{split}-raw"))
            with client.pfs.commit(branch=pfs.Branch.from_uri(f"mnist-{split}-raw@master")) as commit:
                commit.put_file_from_bytes(path=f"/{files.images.name}", data=idx(images[part]))
                commit.put_file_from_bytes(path=f"/{files.labels.name}", data=idx(labels[part]))
            client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec(split)))
            outcome = jobs.await_head(client, f"mnist-{split}", time.monotonic() + 200, print)
            assert outcome.good, outcome.words
            commits.append(outcome.commit)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in clients.items():
                patch.setenv(name, value)
            yield Stages({**os.environ, **clients}, home / "build", *commits)


def test_the_spec_differs_in_repo_and_labels_only() -> None:
    clothes = json.loads((REPOSITORY / "pipelines" / "fmnist-train.json").read_text())
    made = spec("train")
    assert made["input"]["pfs"]["repo"] == "mnist-train-raw"
    assert made["transform"]["env"]["CLASS_NAMES"].split(",") == list("0123456789")
    assert made["transform"]["cmd"] == clothes["transform"]["cmd"]


def test_digits_are_trained_and_pass_the_gate(stages: Stages) -> None:
    (overrides,) = re.findall(r'TRAIN_SET="(.*)"', shell("Other data: MNIST digits"))
    done = stages.submit(6, *overrides.split())
    assert done.returncode == 0, done.stdout
    trained = stages.written("train.json")
    assert trained["validation_accuracy"] > 0.7
    stages.det("model", "create", "digits")
    stages.det("model", "register-version", "digits", trained["checkpoint_uuid"])
    written = Determined().get_checkpoint(trained["checkpoint_uuid"]).metadata["provenance"]
    assert written["data_train"] == {"repo": "mnist-train", "branch": "master", "commit": stages.train_commit}
    thresholds = {"ACCURACY_THRESHOLD": "0.7", "CLASS_FLOOR": "0.4"}
    gate = stages.gate(MODEL_NAME="digits", TEST_DATA="mnist-test@master", **thresholds)
    assert gate.returncode == 0, gate.stdout
    assert "digits version 1: passed" in gate.stdout
    report = stages.written("report/report.json")
    assert report["data_test"]["commit"] == stages.test_commit
    assert report["results"]["accuracy"] > 0.7
    assert [each["name"] for each in report["results"]["classes"]] == list("0123456789")


def test_each_pipeline_reports_its_own_name_and_repo(stages: Stages) -> None:
    client = Client.from_config(stages.environment["PACH_CONFIG"])
    with client.pfs.pfs_file(file=pfs.File.from_uri("mnist-test@master:/report.json")) as stream:
        report = json.loads(stream.read())
    assert (report["pipeline"], report["source"]["repo"]) == ("mnist-test", "mnist-test-raw")
    assert report["class_names"] == list("0123456789")
