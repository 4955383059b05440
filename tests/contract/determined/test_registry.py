"""The model registry: names, versions, metadata, labels, archive, delete."""

from __future__ import annotations

import pytest
from determined.common.api import bindings, errors
from determined.experimental import client

from tests.contract.determined.target import Target


@pytest.mark.slow
def test_the_commands_of_a_release(target: Target, checkpoints: list[client.Checkpoint], name: str) -> None:
    uuid = checkpoints[1].uuid
    target.det("model", "create", name)
    target.det("model", "register-version", name, uuid)
    assert name in target.det("model", "list")
    assert name in target.det("model", "describe", name)
    assert uuid in target.det("model", "list-versions", name)
    assert uuid in target.det("model", "describe", "--version", "1", name)
    assert "register" in target.det("checkpoint", "delete", "--yes", uuid, code=1).lower()
    target.det("model", "delete", name)
    assert "not found" in target.det("model", "describe", name, code=1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("", "blank"), ("  ", "blank"), ("a/b", "slash"), ("a\\b", "slash"), ("a  b", "spac"), ("123", "number")],
)
def test_unusable_names(target: Target, model: client.Model, wrong: str, words: str) -> None:
    with pytest.raises(errors.APIException, match=words):
        target.sdk.create_model(wrong)
    with pytest.raises(errors.APIException, match=words):
        rename(target, model, wrong)


def rename(target: Target, model: client.Model, new: str) -> None:
    body = bindings.v1PatchModel(name=new)
    bindings.patch_PatchModel(target.session, body=body, modelName=str(model.model_id))


def test_names_are_unique_and_case_counts(target: Target, model: client.Model, name: str) -> None:
    with pytest.raises(errors.APIException, match="names") as refused:
        target.sdk.create_model(name)
    assert refused.value.status_code == 409
    with pytest.raises(errors.NotFoundException, match=name.upper()):
        target.sdk.get_model(name.upper())
    other = target.sdk.create_model(name.upper())
    try:
        with pytest.raises(errors.APIException, match="names"):
            rename(target, other, name)
    finally:
        other.delete()


@pytest.mark.parametrize("odd", ["für Mode %41 &?#+", "12 dozen", "-"])
def test_odd_names_are_found_again(target: Target, name: str, odd: str) -> None:
    model = target.sdk.create_model(f"{odd} {name}")
    try:
        assert target.sdk.get_model(model.name).model_id == model.model_id
        assert target.sdk.get_model(model.model_id).name == f"{odd} {name}"
    finally:
        model.delete()


def test_what_is_absent_stays_and_what_is_empty_clears(target: Target, name: str) -> None:
    model = target.sdk.create_model(name, "first words", {"a": 1, "b": [2, None]}, labels=["x", "y"])
    try:
        model.set_description("second words")
        model.add_metadata({"c": {"d": 3}})
        model.remove_metadata(["a"])
        found = target.sdk.get_model(name)
        assert found.description == "second words"
        assert found.metadata == {"b": [2, None], "c": {"d": 3}}
        assert found.labels == ["x", "y"]
        body = bindings.v1PatchModel(description="", labels=[], metadata={}, notes="n")
        bindings.patch_PatchModel(target.session, body=body, modelName=name)
        found = bindings.get_GetModel(target.session, modelName=name).model
        assert (found.description, found.labels or [], found.metadata, found.notes) == ("", [], {}, "n")
    finally:
        model.delete()


def test_versions_are_numbered_and_annotated(
    target: Target, model: client.Model, checkpoints: list[client.Checkpoint]
) -> None:
    body = bindings.v1PostModelVersionRequest(
        checkpointUuid=checkpoints[0].uuid, modelName=model.name, name="n", comment="c", notes="t", labels=["l"]
    )
    bindings.post_PostModelVersion(target.session, modelName=model.name, body=body)
    assert model.register_version(checkpoints[1].uuid).model_version == 2
    assert [v.model_version for v in model.list_versions()] == [2, 1]
    assert [v.model_version for v in model.list_versions(order_by=client.OrderBy.ASC)] == [1, 2]
    newest, first = model.get_version(), model.get_version(1)
    assert newest is not None
    assert first is not None
    assert newest.checkpoint.uuid == checkpoints[1].uuid
    assert (first.name, first.comment, first.notes) == ("n", "c", "t")
    first.set_name("another")
    first.set_notes("more")
    patch = bindings.v1PatchModelVersion(metadata={"gate": {"accuracy": 0.9}}, labels=[])
    bindings.patch_PatchModelVersion(target.session, modelName=model.name, modelVersionNum=1, body=patch)
    found = bindings.get_GetModelVersion(target.session, modelName=str(model.model_id), modelVersionNum=1).modelVersion
    assert (found.name, found.notes, found.comment) == ("another", "more", "c")
    assert (found.metadata, found.labels or []) == ({"gate": {"accuracy": 0.9}}, [])
    assert bindings.get_GetModel(target.session, modelName=model.name).model.numVersions == 2


def test_the_number_of_a_deleted_newest_version_is_given_again(
    model: client.Model, checkpoints: list[client.Checkpoint]
) -> None:
    for _ in range(3):
        model.register_version(checkpoints[0].uuid)
    for number in (1, 3):
        version = model.get_version(number)
        assert version is not None
        version.delete()
    assert model.register_version(checkpoints[1].uuid).model_version == 3
    assert [v.model_version for v in model.list_versions()] == [3, 2]


def test_an_archived_model_takes_no_changes(
    target: Target, model: client.Model, checkpoints: list[client.Checkpoint]
) -> None:
    version = model.register_version(checkpoints[0].uuid)
    model.archive()
    assert target.sdk.get_model(model.name).archived
    with pytest.raises(errors.APIException, match="archived"):
        model.register_version(checkpoints[1].uuid)
    with pytest.raises(errors.APIException, match="archived"):
        model.set_description("new")
    version.set_notes("versions still change")
    model.unarchive()
    assert model.register_version(checkpoints[1].uuid).model_version == 2


def test_lists_are_filtered_and_ordered(target: Target, name: str) -> None:
    made = [target.sdk.create_model(f"{name} {end}", end * 2, labels=[f"{name}-{end}"]) for end in "bca"]
    try:
        last = made[2]
        last.archive()

        def found(**wanted: object) -> list[str]:
            models = bindings.get_GetModels(target.session, name=name.lower(), **wanted).models
            return [model.name[-1] for model in models]

        by = bindings.v1GetModelsRequestSortBy
        assert found() == ["b", "c", "a"]
        assert found(sortBy=by.NAME) == ["a", "b", "c"]
        assert found(sortBy=by.CREATION_TIME, orderBy=bindings.v1OrderBy.DESC) == ["a", "c", "b"]
        assert found(archived=False) == ["b", "c"]
        assert found(description="BB") == ["b"]
        assert found(labels=[f"{name}-a", f"{name}-c"]) == ["c", "a"]
        assert found(offset=1, limit=1) == ["c"]
        assert found(users=[target.username]) == ["b", "c", "a"]
        assert [m.name[-1] for m in target.sdk.list_models(name=name)] == ["a", "b", "c"]
    finally:
        for model in made:
            model.delete()
