"""Checkpoints: order, description, download, metadata."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from determined.common.api import bindings
from determined.experimental import client

from tests.contract.determined.target import Target


def test_the_best_comes_first(experiment: client.Experiment, trial: client.Trial) -> None:
    assert [c.metadata["steps_completed"] for c in experiment.list_checkpoints()] == [2, 1]
    # Without an order, the real master sorts a trial's upwards, whatever is better (docs/decisions.md, 10).
    assert sorted(c.metadata["steps_completed"] for c in trial.list_checkpoints()) == [1, 2]
    ordered = trial.list_checkpoints(sort_by=client.CheckpointSortBy.SEARCHER_METRIC, order_by=client.OrderBy.DESC)
    assert [c.metadata["steps_completed"] for c in ordered] == [2, 1]
    worst = experiment.list_checkpoints(sort_by="accuracy", order_by=client.OrderBy.ASC, max_results=1)[0]
    assert worst.metadata["steps_completed"] == 1
    assert worst.training.validation_metrics["avgMetrics"]["accuracy"] == 0.1
    assert worst.training.experiment_id == experiment.id


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "master"])
def test_describe_and_download(target: Target, checkpoints: list[client.Checkpoint], tmp_path: Path, mode: str) -> None:
    uuid = checkpoints[1].uuid
    assert uuid in target.det("checkpoint", "describe", uuid)
    target.det("checkpoint", "download", "--mode", mode, "-o", str(tmp_path / "here"), uuid)
    assert (tmp_path / "here" / "nested" / "weights.bin").read_bytes() == bytes(range(256)) * 2
    assert json.loads((tmp_path / "here" / "metadata.json").read_text())["note"] == "contract"


@pytest.mark.slow
def test_the_best_of_an_experiment(target: Target, experiment: client.Experiment, tmp_path: Path) -> None:
    target.det("experiment", "download", "-o", str(tmp_path), str(experiment.id))
    found = next(tmp_path.rglob("metadata.json"))
    assert json.loads(found.read_text())["steps_completed"] == 2


def test_metadata_is_added_and_removed(target: Target, checkpoints: list[client.Checkpoint]) -> None:
    checkpoint = target.sdk.get_checkpoint(checkpoints[0].uuid)
    before = dict(checkpoint.metadata)
    checkpoint.add_metadata({"reviewed": True})
    assert target.sdk.get_checkpoint(checkpoint.uuid).metadata == {**before, "reviewed": True}
    checkpoint.remove_metadata(["reviewed"])
    assert target.sdk.get_checkpoint(checkpoint.uuid).metadata == before


@pytest.mark.slow
def test_a_trial_discards_a_checkpoint_of_its_own(target: Target) -> None:
    experiment = target.create(hyperparameters={"steps": 2, "discard": 1})
    assert experiment.wait(interval=0.2) is client.ExperimentState.COMPLETED
    found = bindings.get_GetExperimentCheckpoints(target.session, id=experiment.id).checkpoints
    states = {checkpoint.metadata["steps_completed"]: checkpoint.state for checkpoint in found}
    assert states == {1: bindings.checkpointv1State.DELETED, 2: bindings.checkpointv1State.COMPLETED}
    assert [c.metadata["steps_completed"] for c in experiment.list_checkpoints()] == [2]
