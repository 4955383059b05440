"""The stages against real services: train, register, gate, with the genuine clients, on a small and easy split."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import provenance
import psutil
import pytest
from determined.common.api import authentication, bindings
from determined.experimental import Determined
from determined.experimental.client import Experiment
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from data.errors import DataError
from fmnist import registry
from fmnist.errors import FmnistError, PlatformUnreachable
from fmnist.model import curves
from fmnist.test.gate import run_gate
from fmnist.test.settings import Settings
from tests.conftest import validated
from tests.fmnist.conftest import REPOSITORY, SOURCE, KubectlStub, shapes, wait_until
from tests.fmnist.stages import SMALL, Stages, services

TRAIN, TEST = "fmnist-train", "fmnist-test"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stages"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """A master and a pachd of one's own, with both splits committed, in the environment of this process too."""
    home = tmp_path_factory.mktemp("home")
    with services(home) as clients, pytest.MonkeyPatch.context() as patch:
        for name, value in clients.items():
            patch.setenv(name, value)
        client = Client.from_config(clients["PACH_CONFIG"])
        commits = []
        for repo, count, seed in ((TRAIN, 2000, 0), (TEST, 500, 1)):
            images, labels = shapes(count, seed)
            if repo == TEST:
                labels[:50] = 9 - labels[:50]  # No model gets these right, so no accuracy is perfect.
            client.pfs.create_repo(repo=pfs.Repo(name=repo))
            with client.pfs.commit(branch=pfs.Branch.from_uri(f"{repo}@master")) as commit:
                for name, content in validated(images, labels).items():
                    commit.put_file_from_bytes(path=f"/{name}", data=content)
            commits.append(str(commit.id))
        yield Stages({**os.environ, **clients}, home / "build", *commits)


@pytest.fixture(scope="module")
def trained(stages: Stages) -> dict[str, Any]:
    """What build/train.json says after a training of two epochs."""
    done = stages.submit(2)
    assert done.returncode == 0, done.stdout
    for epoch in (1, 2):
        assert f"epoch {epoch}: validation accuracy" in done.stdout
    return stages.written("train.json")


@pytest.fixture(scope="module")
def registered(stages: Stages, trained: dict[str, Any]) -> dict[str, Any]:
    """What build/model.json says after the registration."""
    done = stages.run("fmnist.model.register")
    assert done.returncode == 0, done.stdout
    return stages.written("model.json")


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
    assert "det user login" in done.stdout
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


def kill(stages: Stages, experiment: Experiment) -> None:
    """SIGKILL the training process."""
    for process in psutil.process_iter(["cmdline"]):
        if "train.py" in (process.info["cmdline"] or []) and _belongs_to(process, experiment.id, stages):
            process.send_signal(signal.SIGKILL)


def pause(_: Stages, experiment: Experiment) -> None:
    """Pause, wait until the trial has given its slot back, and activate."""
    experiment.pause()
    wait_until(lambda: "asked to stop" in _log(experiment), "the trial stops for the pause", seconds=100)
    experiment.activate()


def cancel(stages: Stages, experiment: Experiment) -> None:
    """Cancel, wait for the end, and continue."""
    experiment.cancel()
    assert experiment.wait(interval=0.2).value == "STATE_CANCELED"
    stages.det("experiment", "continue", str(experiment.id))


@pytest.mark.parametrize("interrupt", [kill, pause, cancel])
def test_an_interrupted_training_goes_on_from_its_checkpoint(
    stages: Stages, interrupt: Callable[[Stages, Experiment], None]
) -> None:
    experiment = stages.create(epochs=6)
    wait_until(lambda: bool(experiment.list_checkpoints()), "the first checkpoint", seconds=200)
    interrupt(stages, experiment)
    assert experiment.wait(interval=0.5).value == "STATE_COMPLETED"
    (trial,) = experiment.list_trials()
    log = _log(experiment)
    assert log.count("epoch 1 of 6") == 1
    assert log.count("epoch 6 of 6") == 1
    reports = sorted(report.steps_completed for report in trial.iter_metrics("validation"))
    assert reports == [36, 72, 108, 144, 180, 216, 217]
    best = experiment.list_checkpoints(max_results=1)[0]
    assert best.metadata["steps_completed"] == 217
    assert best.metadata["provenance"]["git"] == {"commit": None, "dirty": None}
    assert best.metadata["provenance"]["data_train"]["commit"] == stages.train_commit


def test_a_warm_start_begins_with_the_weights_of_another_trial(stages: Stages, trained: dict[str, Any]) -> None:
    source = trained["checkpoint_uuid"]
    experiment = stages.create(f"--config=searcher.source_checkpoint_uuid={source}", epochs=1, learning_rate=1e-6)
    assert experiment.wait(interval=0.2).value == "STATE_COMPLETED"
    found = bindings.get_GetTrial(registry.session(), trialId=experiment.list_trials()[0].id).trial
    assert found.warmStartCheckpointUuid == source
    (best,) = experiment.list_checkpoints(max_results=1)
    # At this learning rate one epoch moves nothing: the accuracy is the source's.
    assert best.metadata["metrics"]["validation_accuracy"] == pytest.approx(trained["validation_accuracy"], abs=0.03)


def test_a_finished_training_has_nothing_to_continue(stages: Stages, trained: dict[str, Any]) -> None:
    experiment = Determined().get_experiment(trained["experiment_id"])
    before = [checkpoint.uuid for checkpoint in experiment.list_checkpoints()]
    stages.det("experiment", "continue", str(experiment.id))
    assert experiment.wait(interval=0.2).value == "STATE_COMPLETED"
    assert f"searcher.source_checkpoint_uuid={trained['checkpoint_uuid']}" in _log(experiment)
    assert [checkpoint.uuid for checkpoint in experiment.list_checkpoints()] == before


def _log(experiment: Experiment) -> str:
    (trial,) = experiment.list_trials()
    return "".join(trial.iter_logs())


def _belongs_to(process: psutil.Process, experiment_id: int, stages: Stages) -> bool:
    try:
        environment = process.environ()
    except psutil.Error:
        return False
    return environment.get("DET_EXPERIMENT_ID") == str(experiment_id) and environment.get("HOME") == os.environ["HOME"]


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


@pytest.fixture(scope="module")
def worse(stages: Stages, registered: dict[str, Any]) -> str:
    """The checkpoint of version 2, which has learned nearly nothing."""
    experiment = stages.create(epochs=1, learning_rate=1e-6)
    assert experiment.wait(interval=0.2).value == "STATE_COMPLETED"
    uuid = str(experiment.list_checkpoints(max_results=1)[0].uuid)
    stages.det("model", "register-version", "fashion-classifier", uuid)
    return uuid


@pytest.fixture
def production(tmp_path: Path) -> Callable[[int, str], dict[str, str]]:
    """Variables under which a version and its checkpoint are in production, and a gate without other rules."""

    def variables(version: int, checkpoint: str) -> dict[str, str]:
        stub = KubectlStub(tmp_path)
        labels = {"model-version": str(version), "checkpoint": checkpoint}
        predictor = {"name": "default", "labels": labels}
        metadata = {"name": "fashion-classifier", "namespace": "default"}
        stub.lists([{"metadata": metadata, "spec": {"predictors": [predictor]}}])
        return {"KUBECTL": str(stub.program), "ACCURACY_THRESHOLD": "0", "CLASS_FLOOR": "0"}

    return variables


InProduction = Callable[[int, str], dict[str, str]]


def test_a_version_worse_than_production_is_refused(
    stages: Stages, registered: dict[str, Any], worse: str, production: InProduction
) -> None:
    done = stages.gate(MODEL_VERSION="2", **production(1, registered["checkpoint_uuid"]))
    assert done.returncode == 1
    assert "with 95 % confidence worse, by more than the margin 0.0000, than version 1 in production" in done.stdout
    report = stages.written("report/report.json")
    assert report["results"]["production"]["p_value"] < 1e-6
    assert [(row["version"], row["in_production"]) for row in report["versions"]] == [(2, False), (1, True)]
    suite = ElementTree.parse(stages.build / "report" / "junit.xml").getroot()
    assert [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None] == [
        "test_rule[production]"
    ]
    version = Determined().get_model("fashion-classifier").get_version(2)
    assert version is not None
    assert version.metadata["gate"]["against_production"]["version"] == "1"


def test_a_version_better_than_production_passes(stages: Stages, worse: str, production: InProduction) -> None:
    done = stages.gate(MODEL_VERSION="1", **production(2, worse))
    assert done.returncode == 0, done.stdout
    assert "with 95 % confidence better than version 2 in production" in done.stdout


def test_the_version_in_production_is_not_compared_with_itself(
    stages: Stages, registered: dict[str, Any], worse: str, production: InProduction
) -> None:
    done = stages.gate(MODEL_VERSION="1", **production(1, registered["checkpoint_uuid"]))
    assert done.returncode == 0, done.stdout
    assert "note    this very version is in production already" in done.stdout


def test_a_label_of_another_registry_is_not_compared_with(stages: Stages, worse: str, production: InProduction) -> None:
    done = stages.gate(MODEL_VERSION="1", **production(2, "somebody-elses"))
    assert done.returncode == 0, done.stdout
    assert f"but this registry's fashion-classifier version 2 holds {worse}" in done.stdout
    assert stages.written("report/report.json")["versions"][0]["in_production"] is False


def test_production_whose_checkpoint_is_gone_is_said(stages: Stages, worse: str, production: InProduction) -> None:
    for folder in stages.build.parent.rglob(worse):
        shutil.rmtree(folder)
    done = stages.gate(MODEL_VERSION="1", **production(2, worse))
    assert done.returncode == 0, done.stdout
    assert "warning version 2 is in production and cannot be compared with: checkpoint" in done.stdout
    assert f"{worse} cannot be downloaded" in done.stdout
