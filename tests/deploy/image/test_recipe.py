"""What an image's tag is a hash of, what is refused before anything is built, and what a missing tool says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.release import files, image, images, manifest, oci, programs, recipe, skopeo
from deploy.release.errors import BuildError, LayoutError
from deploy.release.registry import Registered
from localcluster.settings import REPOSITORY

DIGEST = "sha256:" + "a" * 64
BELOW = {
    "config": {"Env": ["PATH=/opt/venv/bin", "GUNICORN_WORKERS=9"], "User": "0", "Labels": {"theirs": "1"}},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "b" * 64]},
    "history": [{"created_by": "debian"}],
}
MANIFEST = json.dumps({"layers": [{"mediaType": "t", "digest": DIGEST, "size": 7}]}).encode()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> recipe.Recipe:
    """A Dockerfile that copies a folder."""
    monkeypatch.setattr(files, "REPOSITORY", tmp_path)
    monkeypatch.delenv("BASE", raising=False)
    (tmp_path / "Dockerfile").write_text(f"ARG BASE=python@{DIGEST}\nFROM ${{BASE}}\n")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("a\n")
    return recipe.Recipe("Dockerfile", ("code/**/*",))


def test_a_tag_changes_with_everything_that_is_in_the_image(
    made: recipe.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [made.key()]
    (tmp_path / "code" / "a.pyc").write_text("compiled")
    assert made.key() == keys[0]
    (tmp_path / "code" / "a.py").write_text("b\n")
    keys.append(made.key())
    (tmp_path / "code" / "a.py").rename(tmp_path / "code" / "b.py")
    keys.append(made.key())
    (tmp_path / "Dockerfile").write_text(f"ARG BASE=python@{DIGEST}\nFROM ${{BASE}}\nUSER 1\n")
    keys.append(made.key())
    monkeypatch.setenv("BASE", f"mirror.example.com/python@{DIGEST}")
    keys.append(made.key())
    assert len(set(keys)) == len(keys)


def test_a_base_without_a_digest_is_refused(made: recipe.Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    assert made.base() == f"python@{DIGEST}"
    monkeypatch.setenv("BASE", "python:3.11")
    with pytest.raises(BuildError, match="has no digest"):
        made.base()


@pytest.mark.parametrize(
    "registry", ["https://registry.example.com", "Registry/x", "host/x y", "host/x:tag/y", "/x", ""]
)
def test_what_is_no_address_of_a_registry_is_refused(registry: str) -> None:
    with pytest.raises(BuildError, match="REGISTRY="):
        recipe.repository(registry, "name")


def test_a_missing_program_is_named_with_the_target_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BuildError, match="skopeo is not installed; run make image-tools"):
        skopeo.manifest("registry.example.com/x:y")


def test_what_failed_is_told_in_the_program_s_own_words() -> None:
    with pytest.raises(BuildError, match=r"`sh -c` failed with status 3:\n  no space left"):
        programs.run("sh", "-c", "echo no space left >&2; exit 3")


def test_without_a_registry_there_is_nowhere_to_push(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("REGISTRY", raising=False)
    assert images.main() == 1
    assert "REGISTRY is not set" in capsys.readouterr().err


def test_the_layer_is_put_over_the_base(registered: Registered, tmp_path: Path) -> None:
    base = oci.read_base(MANIFEST, BELOW)
    record = image.build(registered, tmp_path, revision=None, epoch=0, base=base, repository="host/x/name")
    assert record["reference"] == f"host/x/name@{record['digest']}"
    written = read(tmp_path, record["digest"])
    configuration = read(tmp_path, written["config"]["digest"])
    assert [each["digest"] for each in written["layers"]] == [DIGEST, record["layer"]]
    assert configuration["rootfs"]["diff_ids"] == ["sha256:" + "b" * 64, record["layer"]]
    assert [each["created_by"] for each in configuration["history"]] == ["debian", "deploy.release.image"]
    assert configuration["config"]["Env"][:2] == ["PATH=/opt/venv/bin", "GUNICORN_WORKERS=1"]
    assert configuration["config"]["User"] == "10001:10001"
    assert "theirs" not in configuration["config"]["Labels"]


def test_the_release_names_the_image_in_its_registry(registered: Registered, tmp_path: Path) -> None:
    record = image.build(registered, tmp_path, revision=None, epoch=0, repository="registry.example.com:5000/x/name")
    seldon = yaml.safe_load((REPOSITORY / "deploy" / "base" / "deploy.yaml").read_text())
    main = manifest.predictor_of(manifest.render(seldon, record), "default")
    named = {each["image"] for part in main["componentSpecs"] for each in part["spec"]["containers"]}
    assert named == {f"registry.example.com:5000/x/name@{record['digest']}"}


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "not an OCI image"), (b'{"manifests": []}', "not an OCI image"), (b'{"layers": []}', "different layers")],
)
def test_a_base_that_is_none_is_refused(content: bytes | None, words: str) -> None:
    with pytest.raises(LayoutError, match=words):
        oci.read_base(content, BELOW)


def read(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs" / "sha256" / digest.partition(":")[2]).read_bytes())
