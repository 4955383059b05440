"""`make image REGISTRY=…` against a genuine registry: what is built, what is pushed, and what is not done twice.

The base is a few bytes here; test_running_image.py has the real one.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from deploy.release import files, image, images, outliers, programs, recipe, skopeo
from deploy.release.errors import BuildError
from deploy.release.registry import Registered
from tests.deploy.conftest import CHECKPOINT
from tests.deploy.image.container_registry import PASSWORD, ContainerRegistry

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("image")]

REVISION = "f" * 40


@dataclass(frozen=True)
class Checkout:
    """A repository with one Dockerfile, on a base that is in the registry."""

    made_from: recipe.Recipe
    base: str


@pytest.fixture(scope="module")
def checkout(container_registry: ContainerRegistry, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Takes the place of this repository for what is built."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "Dockerfile").write_text(
        "ARG BASE\nFROM ${BASE}\nCOPY serving.txt /serving.txt\nENV PATH=/opt/venv/bin\nUSER 10001\n"
    )
    (root / "serving.txt").write_text("nothing==1\n")
    base = in_registry(root, f"{container_registry.address}/library/base:1")
    with (
        mock.patch.object(files, "REPOSITORY", root),
        mock.patch.object(image, "BASE", recipe.Recipe("Dockerfile", ("serving.txt",))),
        mock.patch.dict(os.environ, {"BASE": base}),
    ):
        yield Checkout(image.BASE, base)


@pytest.fixture(scope="module")
def pushed(checkout: Checkout, registered: Registered, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What build/image.json says after the first push."""
    layout = tmp_path_factory.mktemp("layout")
    return image.push(registered, layout, os.environ["REGISTRY"], revision=REVISION, epoch=0)


def test_the_reference_is_the_registry_s_own_digest(pushed: dict[str, Any]) -> None:
    assert pushed["reference"] == f"{os.environ['REGISTRY']}/fashion-classifier@{pushed['digest']}"
    assert skopeo.digest_of(skopeo.manifest(pushed["tag"]) or b"") == pushed["digest"]
    assert pushed["tag"].startswith(f"{os.environ['REGISTRY']}/fashion-classifier:v3-")


def test_the_last_layer_is_the_one_of_one_machine(
    pushed: dict[str, Any], registered: Registered, tmp_path: Path
) -> None:
    alone = image.build(registered, tmp_path, revision=REVISION, epoch=0)
    manifest = json.loads(skopeo.manifest(pushed["reference"]) or b"")
    assert len(manifest["layers"]) == 3
    assert manifest["layers"][-1]["digest"] == alone["layer"] == pushed["layer"]


def test_the_labels_say_what_it_stands_on(pushed: dict[str, Any], checkout: Checkout) -> None:
    config = skopeo.configuration(pushed["reference"])["config"]
    assert config["Labels"]["org.opencontainers.image.base.digest"] == checkout.base.partition("@")[2]
    assert config["Labels"]["model.checkpoint"] == CHECKPOINT
    assert len(config["Labels"]["serving.lock.sha256"]) == 64
    assert config["User"] == "10001:10001"
    assert {"PATH=/opt/venv/bin", "MODEL_DIR=/model"} <= set(config["Env"])


def test_pushed_again_it_is_the_same_image_and_nothing_is_built(
    pushed: dict[str, Any], registered: Registered, tmp_path: Path
) -> None:
    with mock.patch.object(recipe, "build", side_effect=AssertionError("the base is in the registry")):
        again = image.push(registered, tmp_path, os.environ["REGISTRY"], revision=REVISION, epoch=0)
    assert (again["reference"], again["tag"]) == (pushed["reference"], pushed["tag"])


def test_two_builds_of_a_base_are_one_image(pushed: dict[str, Any], checkout: Checkout) -> None:
    target = f"{os.environ['REGISTRY']}/again:1"
    recipe.build(checkout.made_from, target)
    assert skopeo.digest_of(skopeo.manifest(target) or b"") == pushed["base"].partition("@")[2]


def test_whoever_pulls_it_gets_the_files(pushed: dict[str, Any], registered: Registered) -> None:
    container = programs.run("buildah", "from", pushed["reference"]).strip()
    root = Path(programs.run("buildah", "mount", container).strip())
    assert (root / "serving.txt").read_text() == "nothing==1\n"
    for name, content in image.image_files(registered, REVISION).items():
        assert (root / name).read_bytes() == content
    programs.run("buildah", "rm", container)


def test_the_other_images_are_named_for_the_stages_that_use_them(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        mock.patch.object(images, "IMAGES", {"TRIAL_IMAGE": ("fmnist-trial", checkout.made_from)}),
        mock.patch.object(images, "RECORD", tmp_path / "images.env"),
    ):
        assert images.main() == 0
    name, _, reference = (tmp_path / "images.env").read_text().strip().partition("=")
    assert (name, reference.partition("@")[0]) == ("TRIAL_IMAGE", f"{os.environ['REGISTRY']}/fmnist-trial")
    labels = skopeo.configuration(reference)["config"]["Labels"]
    assert labels["org.opencontainers.image.base.digest"] == checkout.base.partition("@")[2]
    assert reference in capsys.readouterr().out


def test_make_image_records_what_the_cluster_pulls(
    pushed: dict[str, Any], registered: Registered, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        mock.patch.object(image, "fetch", return_value=registered),
        mock.patch.object(outliers, "add", return_value="its training images are in no Pachyderm here"),
        mock.patch.object(files, "IMAGE_RECORD", tmp_path / "image.json"),
    ):
        assert image.main(["--layout", str(tmp_path / "layout"), "--version", "3"]) == 0
    record = json.loads((tmp_path / "image.json").read_text())
    assert record["layer"] != pushed["layer"], "outside a checkout the revision is unknown"
    assert skopeo.digest_of(skopeo.manifest(record["reference"]) or b"") == record["digest"]
    assert "over a base of 0 MB" in capsys.readouterr().out


def test_without_the_credentials_the_registry_s_refusal_is_told(pushed: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text("{}")
    with (
        mock.patch.dict(os.environ, {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}),
        pytest.raises(BuildError, match=r"(?i)authentication required|unauthorized"),
    ):
        skopeo.manifest(pushed["reference"])


def test_the_password_is_in_nothing_that_was_written(pushed: dict[str, Any]) -> None:
    layout = Path(pushed["layout"])
    stored = [path for path in layout.rglob("*") if path.is_file()]
    assert stored
    assert not any(PASSWORD.encode() in path.read_bytes() for path in stored)
    assert PASSWORD not in json.dumps(pushed)


def in_registry(root: Path, target: str) -> str:
    """A base of one file, pushed; its reference by digest."""
    container = programs.run("buildah", "from", "scratch").strip()
    programs.run("buildah", "add", "--quiet", container, str(root / "serving.txt"), "/base")
    programs.run("buildah", "commit", "--quiet", "--rm", "--timestamp=0", container, f"docker://{target}")
    return f"{target.rpartition(':')[0]}@{skopeo.digest_of(skopeo.manifest(target) or b'')}"
