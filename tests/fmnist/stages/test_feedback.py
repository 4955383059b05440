"""Answers that people corrected: trained on, never validated on; the gate says where it tests on them."""

from __future__ import annotations

import os

import numpy as np
import pytest
from determined.experimental.client import Experiment
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from tests.conftest import validated
from tests.fmnist.conftest import shapes
from tests.fmnist.stages.services import Stages

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stages"), pytest.mark.timeout(600)]

SPLITS = (shapes(2000, 0), shapes(500, 1))
"""Train and test, as conftest.py commits them."""


@pytest.fixture(scope="module")
def corrected(stages: Stages) -> str:
    """A commit of feedback: 95 images of the train split and 5 of the test split."""
    client = Client.from_config(os.environ["PACH_CONFIG"])
    client.pfs.create_repo(repo=pfs.Repo(name="corrected"))
    parts = [(images[:count], labels[:count]) for count, (images, labels) in zip((95, 5), SPLITS, strict=True)]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    with client.pfs.commit(branch=pfs.Branch.from_uri("corrected@master")) as commit:
        for name, content in validated(images, labels).items():
            commit.put_file_from_bytes(path=f"/{name}", data=content)
    return str(commit.id)


@pytest.fixture(scope="module")
def experiment(stages: Stages, corrected: str) -> Experiment:
    """A training that reads the feedback."""
    made = stages.create(f"--config=data.feedback=corrected@{corrected}", epochs=1)
    assert made.wait(interval=0.2).value == "STATE_COMPLETED"
    return made


def test_a_training_reads_the_feedback_but_for_what_it_validates_on(experiment: Experiment, corrected: str) -> None:
    (best,) = experiment.list_checkpoints(max_results=1)
    assert best.metadata["provenance"]["data_feedback"]["commit"] == corrected
    # 1,800 images of the split and all 100 would be 38 batches of 50; the final checkpoint is one step later.
    assert best.metadata["steps_completed"] == 37 + 1


def test_the_gate_says_how_many_test_images_the_training_read(
    stages: Stages, experiment: Experiment, corrected: str
) -> None:
    (best,) = experiment.list_checkpoints(max_results=1)
    stages.det("model", "create", "corrected")
    stages.det("model", "register-version", "corrected", best.uuid)
    done = stages.gate(MODEL_NAME="corrected", ACCURACY_THRESHOLD="0", CLASS_FLOOR="0")
    assert done.returncode == 0, done.stdout
    assert f"warning trained on the feedback corrected@{corrected}, which holds 5 of the 500 test images" in done.stdout
    assert stages.written("report/report.json")["results"]["feedback"]["positions"] == [0, 1, 2, 3, 4]
    card = (stages.build / "report" / "model_card.md").read_text()
    assert "This version's training read 5 of its images, as answers that people corrected." in card
