"""The gate's comparison with the version in production, which a stub of kubectl names."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from determined.experimental import Determined

from tests.fmnist.conftest import KubectlStub
from tests.fmnist.stages.services import Stages

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stages"), pytest.mark.timeout(600)]


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
