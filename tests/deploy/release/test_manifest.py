"""The SeldonDeployment with the image by digest and the provenance where the rest of the chain looks for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploy.release import files, manifest
from deploy.release.errors import ManifestError

IMAGE: dict[str, Any] = {
    "reference": "fashion-classifier@sha256:" + "a" * 64,
    "tag": "fashion-classifier:v3",
    "digest": "sha256:" + "a" * 64,
    "model_version": 3,
    "checkpoint_uuid": "8d2c4f36-5b1e-4a0d-9f57-0c6a3be81d24",
    "data_commit": "5c1e0bd6ac1f4e2f9a0f3c1de7e0a111",
    "revision": "f" * 40 + "-dirty",
}
BASE: dict[str, Any] = yaml.safe_load((files.REPOSITORY / "deploy" / "base" / "deploy.yaml").read_text())


def test_image_and_labels_stand_where_they_are_looked_for() -> None:
    rendered = manifest.render(BASE, IMAGE)
    (predictor,) = rendered["spec"]["predictors"]
    containers = predictor["componentSpecs"][0]["spec"]["containers"]
    assert {container["name"]: container["image"] for container in containers} == dict.fromkeys(
        ("fashion-classifier", "feedback"), IMAGE["reference"]
    )
    for labels in (rendered["metadata"]["labels"], predictor["labels"]):
        assert labels["model-version"] == labels["app.kubernetes.io/version"] == "3"
        assert labels["checkpoint"] == IMAGE["checkpoint_uuid"]
        assert labels["data-commit"] == IMAGE["data_commit"]
        assert labels["git-commit"] == IMAGE["revision"]
    assert rendered["metadata"]["labels"]["app.kubernetes.io/name"] == "fashion-classifier"


def test_the_manifest_is_what_the_design_says() -> None:
    document = BASE
    assert document["metadata"]["name"] == "fashion-classifier"
    assert document["metadata"]["namespace"] == "default"
    (predictor,) = document["spec"]["predictors"]
    assert predictor["annotations"]["seldon.io/no-engine"] == "true"
    assert predictor["graph"] == {"name": "fashion-classifier", "type": "MODEL"}
    pod = predictor["componentSpecs"][0]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    container, _ = pod["containers"]
    assert container["image"] == "fashion-classifier:latest"
    assert {variable["name"] for variable in container["env"]} >= {"GUNICORN_WORKERS", "GUNICORN_THREADS"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/health/status", "port": "http"}


def test_unknown_provenance_is_left_out() -> None:
    rendered = manifest.render(BASE, {**IMAGE, "data_commit": None, "revision": None})
    assert not {"data-commit", "git-commit"} & rendered["metadata"]["labels"].keys()


def test_the_written_file_is_the_overlay_with_the_rendered_deployment(tmp_path: Path) -> None:
    namespace, rendered = {"kind": "Namespace"}, manifest.render(BASE, IMAGE)
    manifest.write([BASE, namespace], rendered, tmp_path / "deploy.yaml")
    assert list(yaml.safe_load_all((tmp_path / "deploy.yaml").read_text())) == [namespace, rendered]


@given(st.text(max_size=70))
def test_a_label_is_valid_or_refused(text: str) -> None:
    try:
        (value,) = manifest.provenance_labels({"data_commit": text}).values()
    except ManifestError:
        return
    assert len(value) <= 63
    assert all(character.isascii() and (character.isalnum() or character in "-_.") for character in value)
    assert not value or (value[0].isalnum() and value[-1].isalnum())


@pytest.mark.parametrize(
    "spec", [{}, {"predictors": []}, {"predictors": [{"name": "other"}]}, {"predictors": [{"name": "default"}]}]
)
def test_another_base_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="deploy/base is not a SeldonDeployment"):
        manifest.render(BASE | {"spec": spec}, IMAGE)


def test_an_overlay_without_the_deployment_is_refused() -> None:
    with pytest.raises(ManifestError, match="has 0 objects SeldonDeployment"):
        manifest.seldon_of([{"kind": "Namespace", "metadata": {"name": "x"}}])


@pytest.mark.parametrize("content", [None, "", "[]", "{}", json.dumps({"reference": "x"})])
def test_a_missing_or_incomplete_record_asks_for_make_image(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "image.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ManifestError, match="run make image"):
        manifest.read_image(path)
