"""The image of a version: complete, labelled, reproducible; and refused where the checkpoint is not servable."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.fashion_classifier.artifact import CHECKSUMS, FILES, OUTLIERS, VERSION, read_artifact
from deploy.fashion_classifier.errors import ModelError
from deploy.release import files, image, registry
from deploy.release.errors import LayoutError, RegistryError
from deploy.release.registry import Registered, requested_version, verified
from tests.deploy.conftest import CHECKPOINT

REVISION = "f" * 40


def test_the_image_has_the_wrapper_and_the_model(registered: Registered) -> None:
    contents = image.image_files(registered, REVISION)
    assert {name.split("/")[0] for name in contents} == {"app", "model"}
    assert {name for name in contents if name.startswith("model/")} == {
        "model/SHA256SUMS",
        "model/labels.json",
        "model/metadata.json",
        "model/model.tflite",
        "model/outliers.npz",
        "model/version.json",
    }
    wrapper = image.APP / "fashion_classifier"
    sources = {path.relative_to(image.APP) for path in wrapper.rglob("*.*") if path.suffix != ".pyc"}
    assert sources == {Path(name).relative_to("app") for name in contents if name.startswith("app/fashion_classifier/")}
    assert Path("fashion_classifier/pages/try.html") in sources
    assert json.loads(contents["model/version.json"]) == {
        "model_version": 3,
        "checkpoint": CHECKPOINT,
        "image_revision": REVISION,
    }


def test_the_image_imports_nothing_that_only_the_working_environment_has(registered: Registered) -> None:
    allowed = {
        "FashionClassifier",
        "PIL",
        "ai_edge_litert",
        "fashion_classifier",
        "flask",
        "flask_cors",
        "gunicorn",
        "google",
        "grpc",
        "h2corn",
        "numpy",
        "orjson",
        "pachyderm_sdk",
        "prometheus_client",
        "seldon_core",
        "swagger_ui_bundle",
        "werkzeug",
    }
    for name, content in image.image_files(registered, None).items():
        if name.endswith(".py"):
            for node in ast.walk(ast.parse(content)):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    modules = [str(node.module)]
                roots = {module.split(".")[0] for module in modules}
                assert roots <= allowed | sys.stdlib_module_names, name


@pytest.mark.parametrize("name", [CHECKSUMS, *FILES, OUTLIERS, VERSION])
def test_a_changed_byte_of_the_model_is_found_at_start(registered: Registered, tmp_path: Path, name: str) -> None:
    for path, content in image.image_files(registered, REVISION).items():
        if path.startswith("model/"):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(content)
    assert read_artifact(tmp_path / "model").version["model_version"] == 3
    damaged = bytearray((tmp_path / "model" / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "model" / name).write_bytes(damaged)
    with pytest.raises(ModelError, match=CHECKSUMS if name == CHECKSUMS else f"model/{name} has SHA-256"):
        read_artifact(tmp_path / "model")


def test_building_twice_gives_the_same_digest(registered: Registered, tmp_path: Path) -> None:
    first = image.build(registered, tmp_path / "one", revision=REVISION, epoch=0)
    second = image.build(registered, tmp_path / "two", revision=REVISION, epoch=0)
    assert first["digest"] == second["digest"]
    assert first["reference"] == f"fashion-classifier@{first['digest']}"
    assert first["tag"] == "fashion-classifier:v3"
    other = Registered(4, CHECKPOINT, registered.artifact)
    assert image.build(other, tmp_path / "one", revision=REVISION, epoch=0)["digest"] != first["digest"]


@pytest.mark.parametrize("changed", ["FashionClassifier.py", "fashion_classifier/new.py", ".s2i/environment"])
def test_what_differs_from_the_commit_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    for name in ("FashionClassifier.py", ".s2i/environment"):
        (tmp_path / "deploy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "deploy" / name).write_text("committed\n")
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setattr(files, "REPOSITORY", tmp_path)
    commit = image.wrapper_revision()
    assert commit is not None
    assert len(commit) == 40
    (tmp_path / "deploy" / changed).parent.mkdir(exist_ok=True)
    (tmp_path / "deploy" / changed).write_text("changed\n")
    assert image.wrapper_revision() == f"{commit}-dirty"


def test_the_labels_carry_the_provenance(registered: Registered) -> None:
    labels = image.provenance_labels(registered, REVISION)
    assert labels["org.opencontainers.image.version"] == labels["model.version"] == "3"
    assert labels["org.opencontainers.image.revision"] == REVISION
    assert labels["model.checkpoint"] == CHECKPOINT
    assert labels["data.train.commit"] == "5c1e0bd6ac1f4e2f9a0f3c1de7e0a111"
    assert labels["training.git.commit"] == "0123456789abcdef0123456789abcdef01234567"
    assert "org.opencontainers.image.revision" not in image.provenance_labels(registered, None)


def test_a_damaged_checkpoint_makes_no_image(serving: Path, tmp_path: Path) -> None:
    folder = tmp_path / "serving"
    shutil.copytree(serving, folder)
    content = bytearray((folder / "model.tflite").read_bytes())
    content[100] ^= 1
    (folder / "model.tflite").write_bytes(content)
    with pytest.raises(RegistryError, match="SHA-256"):
        verified(folder)
    with pytest.raises(RegistryError, match="no serving format"):
        verified(tmp_path / "absent")


@pytest.mark.parametrize(("text", "version"), [("newest", None), ("7", 7)])
def test_a_version_is_a_number_or_newest(text: str, version: int | None) -> None:
    assert requested_version(text) == version


@pytest.mark.parametrize("text", ["0", "-1", "v3", ""])
def test_another_version_is_refused(text: str) -> None:
    with pytest.raises(RegistryError, match="not a version"):
        requested_version(text)


def test_source_date_epoch_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert image.source_date_epoch() == 1_700_000_000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(LayoutError, match="SOURCE_DATE_EPOCH"):
        image.source_date_epoch()


def test_the_version_is_one_of_the_model_that_the_gate_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, int | None]] = []

    def fetch(model: str, version: int | None, _: Path) -> Registered:
        asked.append((model, version))
        raise RegistryError("enough")

    monkeypatch.setattr(image, "fetch", fetch)
    for name in ("digits", ""):
        monkeypatch.setenv("MODEL_NAME", name)
        monkeypatch.setenv("MODEL_VERSION", "3")
        assert image.main(["--layout", str(tmp_path)]) == 1
    assert asked == [("digits", 3), ("fashion-classifier", 3)]


def test_a_checkpoint_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def download(path: str) -> None:
        raise PermissionError(13, "Permission denied", f"/checkpoints/{CHECKPOINT}")

    checkpoint = SimpleNamespace(uuid=CHECKPOINT, download=download)
    version = SimpleNamespace(model_version=3, checkpoint=checkpoint)
    model = SimpleNamespace(archived=False, get_version=lambda _: version)
    monkeypatch.setattr(registry, "Determined", lambda: SimpleNamespace(get_model=lambda _: model))
    with pytest.raises(RegistryError, match=f"cannot be downloaded: .*Permission denied.*{CHECKPOINT}"):
        registry.fetch("fashion-classifier", 3, tmp_path)


def test_an_unreachable_master_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DET_MASTER", "http://127.0.0.1:1")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert image.main(["--layout", str(tmp_path / "layout"), "--version", "1"]) == 1
    assert "http://127.0.0.1:1 does not answer" in capsys.readouterr().err


def test_without_a_layout_the_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("IMAGE_LAYOUT", raising=False)
    assert image.main(["--version", "1"]) == 1
    assert "IMAGE_LAYOUT is not set" in capsys.readouterr().err
