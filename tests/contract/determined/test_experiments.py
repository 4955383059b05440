"""Experiments: create, list, look, label, change, archive, delete."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path

import pytest
from determined.common.api import bindings, errors
from determined.experimental import client

from tests.contract.determined.target import EXPERIMENT, Target


def listed(target: Target, *arguments: str) -> dict[str, dict[str, str]]:
    """`det experiment list` as rows by id."""
    return {row["ID"]: row for row in csv.DictReader(io.StringIO(target.det("e", "list", "--csv", *arguments)))}


@pytest.mark.slow
def test_create_follows_the_first_trial_to_its_end(target: Target) -> None:
    out = target.det("experiment", "create", "-f", "const.yaml", ".")
    number = int(out.split("Created experiment ")[1].split()[0])
    target.adopt(number)
    assert out.index("a line with a level") < out.index("finished Step 2") < out.index("log stream ended")


@pytest.mark.slow
def test_list_and_describe(target: Target, experiment: client.Experiment) -> None:
    number = str(experiment.id)
    row = listed(target)[number]
    assert (row["Owner"], row["Name"], row["State"]) == (target.username, experiment.name, "COMPLETED")
    described = target.det("experiment", "describe", "--metrics", number)
    assert "Validation Metric: accuracy" in described
    shown = json.loads(target.det("experiment", "describe", "--json", number))[0]
    assert shown["config"]["searcher"]["name"] == "single"
    assert shown["config"]["hyperparameters"] == {"steps": {"type": "const", "val": 2}}
    assert "COMPLETED" in target.det("experiment", "list-trials", number)
    rows = list(csv.DictReader(io.StringIO(target.det("experiment", "list-checkpoints", "--csv", number))))
    assert [row["# of Batches"] for row in rows] == ["1", "2"]
    assert "contract" in target.det("experiment", "config", number)
    target.det("experiment", "wait", number)


@pytest.mark.slow
def test_labels_name_and_description(target: Target) -> None:
    experiment = target.create(activate=False)
    number = str(experiment.id)
    target.det("experiment", "label", "add", number, "gold")
    target.det("experiment", "label", "add", number, "first")
    target.det("experiment", "label", "remove", number, "gold")
    target.det("experiment", "set", "name", number, "another name")
    target.det("experiment", "set", "description", number, "a small one")
    experiment.set_notes("many words")
    experiment.add_label("second")
    experiment.remove_label("first")
    found = bindings.get_GetExperiment(target.session, experimentId=experiment.id).experiment
    assert (found.name, found.description, found.notes) == ("another name", "a small one", "many words")
    assert found.labels == ["second"]


@pytest.mark.slow
def test_only_an_ended_experiment_is_archived_and_deleted(target: Target) -> None:
    experiment = target.create(activate=False)
    number = str(experiment.id)
    with pytest.raises(errors.APIException):
        experiment.archive()
    with pytest.raises(errors.APIException):
        experiment.delete()
    target.det("experiment", "kill", number)
    assert experiment.wait(interval=0.2) is client.ExperimentState.CANCELED
    target.det("experiment", "archive", number)
    assert number not in listed(target)
    assert number in listed(target, "--all")
    target.det("experiment", "unarchive", number)
    assert number in listed(target)
    target.det("experiment", "delete", "--yes", number)
    target.eventually(lambda: target.request("GET", f"/api/v1/experiments/{number}").status_code == 404, "it is gone")
    target.forget(experiment.id)


def test_the_model_definition_comes_back(target: Target, experiment: client.Experiment, tmp_path: Path) -> None:
    target.det("experiment", "download-model-def", str(experiment.id), "--output-dir", str(tmp_path))
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as archive:
        member = archive.extractfile("train.py")
        assert member is not None
        assert member.read() == (EXPERIMENT / "train.py").read_bytes()


@pytest.mark.slow
def test_the_sdk_creates_and_waits(target: Target) -> None:
    experiment = target.sdk.create_experiment(EXPERIMENT / "const.yaml", EXPERIMENT)
    target.adopt(experiment.id)
    assert experiment.wait(interval=0.2) is client.ExperimentState.COMPLETED
    assert experiment.get_trials()[0].state is client.TrialState.COMPLETED
    assert experiment.list_checkpoints(max_results=1)[0].metadata["steps_completed"] == 2


@pytest.mark.parametrize(
    ("setting", "words"),
    [("searcher.max_trails=3", "max_trails"), ("nonsense=1", "nonsense"), ("searcher.name=sync_halving", "searcher")],
)
def test_a_wrong_configuration_is_refused_by_name(target: Target, setting: str, words: str) -> None:
    assert words in target.det("experiment", "create", "const.yaml", ".", "--config", setting, code=1)
