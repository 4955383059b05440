"""The genuine Python SDK: create, wait, checkpoints, metrics, registry."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from determined.common import api
from determined.common.api import bindings, errors
from determined.experimental import client

from .conftest import EXPERIMENT, Cluster, eventually


@pytest.fixture(scope="session")
def sdk(session: api.Session) -> client.Determined:
    return client.Determined._from_session(session)


def test_create_wait_and_find_the_best_checkpoint(sdk: client.Determined) -> None:
    experiment = sdk.create_experiment(EXPERIMENT / "const.yaml", EXPERIMENT)
    assert experiment.wait(interval=0.2) is client.ExperimentState.COMPLETED
    best = experiment.list_checkpoints(max_results=1)[0]
    assert best.metadata["steps_completed"] == 2
    assert best.training.validation_metrics["avgMetrics"]["accuracy"] == 0.2
    assert experiment.get_trials()[0].state is client.TrialState.COMPLETED


def test_metrics_stream_by_group(sdk: client.Determined, cluster: Cluster, session: api.Session, finished: int) -> None:
    trial = sdk.get_trial(cluster.trial(session, finished).id)
    assert [m.metrics["accuracy"] for m in trial.iter_metrics("validation")] == [0.1, 0.2]
    assert [m.metrics["loss"] for m in trial.iter_metrics("training")] == [1.0, 0.5]
    assert [m.metrics["loss"] for m in sdk.stream_trials_training_metrics([trial.id])] == [1.0, 0.5]
    assert [m.metrics["accuracy"] for m in sdk.stream_trials_validation_metrics([trial.id])] == [0.1, 0.2]
    assert list(trial.iter_metrics("nothing")) == []


def test_download_and_metadata(sdk: client.Determined, finished: int, tmp_path: Path) -> None:
    checkpoint = sdk.get_experiment(finished).list_checkpoints(
        sort_by=client.CheckpointSortBy.BATCH_NUMBER, order_by=client.OrderBy.DESC
    )[0]
    assert Path(checkpoint.download(str(tmp_path / "c"))).joinpath("step").read_text() == "2"
    checkpoint.add_metadata({"reviewed": True})
    assert sdk.get_checkpoint(checkpoint.uuid).metadata == {**checkpoint.metadata, "reviewed": True, "note": "tiny"}
    checkpoint.remove_metadata(["reviewed"])
    assert "reviewed" not in sdk.get_checkpoint(checkpoint.uuid).metadata


def test_registry_by_name_and_id(sdk: client.Determined, session: api.Session, finished: int) -> None:
    checkpoints = sdk.get_experiment(finished).list_checkpoints()
    model = sdk.create_model("SDK model", "first words", {"a": 1, "b": 2}, labels=["x"])
    for number, checkpoint in enumerate(checkpoints, 1):
        body = bindings.v1PostModelVersionRequest(
            checkpointUuid=checkpoint.uuid, modelName=model.name, name=f"n{number}", comment="c", notes="some notes"
        )
        version = bindings.post_PostModelVersion(session, modelName=model.name, body=body).modelVersion
        assert version.version == number
    assert [v.model_version for v in model.list_versions()] == [2, 1]
    assert sdk.get_model(model.model_id).name == sdk.get_model("sdk MODEL").name == "SDK model"
    model.add_metadata({"b": 3})
    model.set_labels(["x", "y"])
    assert sdk.get_model("SDK model").metadata == {"a": 1, "b": 3}
    assert set(sdk.get_model_labels()) >= {"x", "y"}
    patch = bindings.v1PatchModelVersion(metadata={"gate": "passed"})
    bindings.patch_PatchModelVersion(session, modelName="SDK model", modelVersionNum=1, body=patch)
    first = model.get_version(1)
    assert first is not None
    assert (first.metadata, first.name, first.notes, first.comment) == ({"gate": "passed"}, "n1", "some notes", "c")
    model.get_version(2).delete()
    assert model.register_version(checkpoints[0].uuid).model_version == 3
    model.archive()
    with pytest.raises(errors.APIException, match="archived"):
        model.register_version(checkpoints[0].uuid)
    model.unarchive()
    model.delete()
    with pytest.raises(errors.NotFoundException, match="SDK model"):
        sdk.get_model("SDK model")


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a  b", "123"])
def test_unusable_model_names(sdk: client.Determined, name: str) -> None:
    with pytest.raises(errors.APIException, match="name"):
        sdk.create_model(name)


def test_what_is_not_there_is_not_found(sdk: client.Determined) -> None:
    for look in (sdk.get_experiment, sdk.get_trial):
        with pytest.raises(errors.NotFoundException, match="987654 not found"):
            look(987654)
    with pytest.raises(errors.NotFoundException):
        sdk.get_checkpoint(str(uuid.uuid4()))


@pytest.mark.slow
def test_a_checkpoint_is_deleted_with_its_files(cluster: Cluster, sdk: client.Determined, session: api.Session) -> None:
    experiment = cluster.create(session, hyperparameters={"steps": 1})
    cluster.wait(session, experiment)
    checkpoint = sdk.get_experiment(experiment).list_checkpoints()[0]
    files = cluster.home / "determined" / "checkpoints" / checkpoint.uuid
    assert files.is_dir()
    checkpoint.delete()
    assert sdk.get_checkpoint(checkpoint.uuid).state is client.CheckpointState.DELETED
    eventually(lambda: not files.exists(), "the files are gone")
    sdk.get_experiment(experiment).delete()
    with pytest.raises(errors.NotFoundException):
        sdk.get_experiment(experiment)
