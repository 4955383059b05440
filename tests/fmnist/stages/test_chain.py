"""Train, register, gate, search: what each stage does and leaves, and what it says where something is missing.

Runs first of this folder: its first test wants an empty registry.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import provenance
import pytest
from determined.common.api import authentication, bindings
from determined.experimental import Determined
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from data.errors import DataError
from fmnist.errors import FmnistError, PlatformUnreachable
from fmnist.model import curves
from fmnist.test.gate import run_gate
from fmnist.test.settings import Settings
from tests.conftest import validated
from tests.fmnist.conftest import REPOSITORY, SOURCE, shapes
from tests.fmnist.stages.services import SMALL, TRAIN, Stages

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stages"), pytest.mark.timeout(600)]


def test_without_a_model_each_stage_says_what_to_do(stages: Stages) -> None:
    for done, advice in (
        (stages.run("fmnist.model.register"), "make train"),
        (stages.run("fmnist.model.submit", "--reuse"), "make train and make register"),
        (stages.gate(), "make train and make register"),
    ):
        assert done.returncode == 1
        assert advice in done.stdout


def test_a_wrong_password_is_said_and_not_thrown(stages: Stages, tmp_path: Path) -> None:
    # A home of its own: the token that another test's login left there would do instead of a password.
    done = stages.run("fmnist.model.submit", "--reuse", DET_PASS="wrong", HOME=str(tmp_path))
    assert done.returncode == 1
    assert "DET_USER and DET_PASS" in done.stdout
    assert "Traceback" not in done.stdout


def test_training_ends_with_the_final_checkpoint_as_the_best(stages: Stages, trained: dict[str, Any]) -> None:
    checkpoint = Determined().get_checkpoint(trained["checkpoint_uuid"])
    assert checkpoint.metadata["steps_completed"] == 2 * 36 + 1
    assert checkpoint.metadata["metrics"]["validation_accuracy"] == trained["validation_accuracy"] > 0.8
    assert {"serving/model.tflite", "serving/SHA256SUMS"} <= set(checkpoint.resources)


def test_the_checkpoint_knows_where_it_comes_from(stages: Stages, trained: dict[str, Any]) -> None:
    written = Determined().get_checkpoint(trained["checkpoint_uuid"]).metadata["provenance"]
    assert written["data_train"] == {"repo": TRAIN, "branch": "master", "commit": stages.train_commit}
    assert written["source_tree"] == provenance.git_tree(SOURCE)
    assert (written["experiment_id"], written["trial_id"]) == (trained["experiment_id"], trained["trial_id"])
    commit = written["git"]["commit"]
    is_checkout = (REPOSITORY / ".git").exists()
    assert (commit is not None) is is_checkout
    if is_checkout:
        subprocess.run(["git", "merge-base", "--is-ancestor", commit, "HEAD"], cwd=REPOSITORY, check=True)
    assert len(written["lock_sha256"]) == 64


def test_registering_again_makes_no_second_version(stages: Stages, registered: dict[str, Any]) -> None:
    again = stages.run("fmnist.model.register")
    assert again.returncode == 0
    assert "no new version" in again.stdout
    assert stages.written("model.json") == registered
    versions = Determined().get_model("fashion-classifier").list_versions()
    assert [version.model_version for version in versions] == [1]


def test_the_gate_passes_and_leaves_report_and_metadata(stages: Stages, registered: dict[str, Any]) -> None:
    done = stages.gate(ACCURACY_THRESHOLD="0.7", CLASS_FLOOR="0.3")
    assert done.returncode == 0, done.stdout
    assert "fashion-classifier version 1: passed" in done.stdout
    assert "no version is known to be in production: " in done.stdout
    assert "only the absolute thresholds decide" in done.stdout
    assert re.search(r"test split +━+ +500/500", done.stdout)
    report = stages.written("report/report.json")
    assert report["data_test"]["commit"] == stages.test_commit
    assert report["model"]["checkpoint_uuid"] == registered["checkpoint_uuid"]
    version = Determined().get_model("fashion-classifier").get_version(1)
    assert version is not None
    assert version.metadata["gate"]["test_accuracy"] == report["results"]["accuracy"]
    assert version.metadata["gate"]["passed"] is True
    suite = ElementTree.parse(stages.build / "report" / "junit.xml").getroot()
    properties = {entry.get("name"): entry.get("value") for entry in suite.iter("property")}
    assert properties["checkpoint_uuid"] == registered["checkpoint_uuid"]
    assert float(str(properties["accuracy"])) == pytest.approx(report["results"]["accuracy"])
    (skipped,) = suite.iter("skipped")
    assert "no version is known to be in production" in skipped.get("message", "")
    (row,) = report["versions"]
    assert (row["version"], row["under_test"], row["in_production"]) == (1, True, False)
    assert row["data_train"] == f"{TRAIN}@{stages.train_commit}"
    assert report["training"]["hyperparameters"]["epochs"] == 2


def test_the_gate_fails_below_the_threshold_and_keeps_other_metadata(
    stages: Stages, registered: dict[str, Any]
) -> None:
    address = stages.environment["DET_MASTER"]
    bindings.patch_PatchModelVersion(
        authentication.login_with_cache(address),
        body=bindings.v1PatchModelVersion(metadata={"owner": "somebody"}),
        modelName="fashion-classifier",
        modelVersionNum=1,
    )
    done = stages.gate(ACCURACY_THRESHOLD="1.0", CLASS_FLOOR="0.3,Bag=1", MODEL_VERSION="1")
    assert done.returncode == 1
    assert "is below the threshold 1.0000" in done.stdout
    assert re.search(r"Bag: recall 0\.\d{4} \(\d+ of 50 images\) is below its floor 1\.0000", done.stdout)
    assert stages.written("report/report.json")["verdict"]["passed"] is False
    version = Determined().get_model("fashion-classifier").get_version(1)
    assert version is not None
    assert version.metadata["owner"] == "somebody"
    assert version.metadata["gate"]["passed"] is False


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MODEL_VERSION": "7"}, r"does not have version 7 \(registered: 1\)"),
        ({"MODEL_NAME": "nobody"}, "no model 'nobody'"),
        ({"TEST_DATA": "nowhere@master"}, "(?s)nowhere@master.*run make data"),
        ({"TEST_DATA": "fmnist-test-raw@master"}, "not found"),
        ({"CLASS_FLOOR": "Hat=0.5"}, "CLASS_FLOOR names Hat"),
    ],
)
def test_the_gate_says_what_is_missing(
    stages: Stages, registered: dict[str, Any], variables: dict[str, str], message: str
) -> None:
    with pytest.raises((FmnistError, DataError), match=message):
        run_gate(Settings.from_environment(variables))


def test_a_split_of_other_data_is_refused(stages: Stages, registered: dict[str, Any]) -> None:
    client = Client.from_config(os.environ["PACH_CONFIG"])
    client.pfs.create_repo(repo=pfs.Repo(name="letters"))
    images, labels = shapes(20)
    with client.pfs.commit(branch=pfs.Branch.from_uri("letters@master")) as commit:
        for name, content in validated(images, labels + np.uint8(16)).items():
            commit.put_file_from_bytes(path=f"/{name}", data=content)
    with pytest.raises(FmnistError, match=r"letters@master has the label 25, and the model knows 10 classes"):
        run_gate(Settings.from_environment({"TEST_DATA": "letters@master"}))


def test_a_master_that_does_not_answer_is_named(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DET_MASTER", "http://127.0.0.1:9")
    with pytest.raises(PlatformUnreachable, match=r"http://127.0.0.1:9.*is it up \(make status\)"):
        run_gate(Settings.from_environment({}))


def test_reuse_takes_the_newest_version(stages: Stages, trained: dict[str, Any], registered: dict[str, Any]) -> None:
    done = stages.run("fmnist.model.submit", "--reuse")
    assert done.returncode == 0, done.stdout
    reused = stages.written("train.json")
    assert reused["checkpoint_uuid"] == trained["checkpoint_uuid"]
    assert reused["reused_version"] == 1


def test_a_failed_experiment_shows_its_last_log_lines(stages: Stages, registered: dict[str, Any]) -> None:
    before = stages.written("train.json")
    done = stages.submit(2, "data.train=nowhere@master", "max_restarts=0")
    assert done.returncode == 1
    assert "ended as error" in done.stdout
    assert "CommitRefused: nowhere@master" in done.stdout
    assert stages.written("train.json") == before


def test_the_training_script_alone_reads_the_same_commit(stages: Stages) -> None:
    options = [f"--set={name}={value}" for name, value in {**SMALL, "epochs": 1}.items()]
    outside = {name: value for name, value in stages.environment.items() if not name.startswith("DET_")}
    command = [sys.executable, "train.py", *options]
    done = subprocess.run(command, cwd=SOURCE, env=outside, capture_output=True, text=True, check=True)
    folder, checkpoint = (
        re.findall(pattern, done.stdout)[-1] for pattern in (r"go to (\S+)", r"checkpoint ([\w-]{36})")
    )
    serving = Path(folder) / checkpoint / "serving"
    written = json.loads((serving / "metadata.json").read_text())["provenance"]
    shutil.rmtree(folder)
    assert written["data_train"] == {"repo": TRAIN, "branch": "master", "commit": stages.train_commit}


def test_a_search_shows_its_trials_and_what_stopping_early_saved(stages: Stages) -> None:
    """Learning rates from useless to good: whatever ASHA draws, the best trial is trained to its end."""
    space = {"type": "log", "base": 10, "minval": -5, "maxval": -2}
    settings = {**SMALL, "depth": 1, "shift": 0, "weight_decay": 0.01, "learning_rate": space, "epochs": 3}
    values = [f"hyperparameters.{name}={json.dumps(value)}" for name, value in settings.items()]
    searcher = ["searcher.max_trials=4", "searcher.max_time=3"]
    options = [argument for setting in (*values, *searcher) for argument in ("--set", setting)]
    done = stages.run("fmnist.model.submit", "--config", "adaptive.yaml", *options)
    assert done.returncode == 0, done.stdout
    assert "learning_rate" in done.stdout
    assert "of 12 epochs trained: stopping early saved" in done.stdout
    experiment = Determined().get_experiment(stages.written("train.json")["experiment_id"])
    found = curves.read(experiment)
    assert len(found) == 4
    assert found[0].trial_id == stages.written("train.json")["trial_id"]
    assert found[0].trained == 3
    assert all(curve.trained in (1, 3) for curve in found)
    assert [curve.final is not None for curve in found] == [curve.trained == 3 for curve in found]
