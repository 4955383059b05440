"""The gate's reader of the serving format, on a model that another program wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fmnist.errors import ServingFormatError
from fmnist.test import latency, serving
from tests.deploy.tiny_model import write_checksums
from tests.fmnist.conftest import REPOSITORY, shapes

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("serving")]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with a small untrained model in the serving format."""
    checkpoint = tmp_path_factory.mktemp("checkpoint")
    program = REPOSITORY / "tests" / "deploy" / "tiny_model.py"
    subprocess.run([sys.executable, str(program), str(checkpoint / "serving"), "11"], check=True, capture_output=True)
    return checkpoint


@pytest.fixture
def checkpoint(written: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(written, tmp_path / "checkpoint"))


def test_reads_and_runs_the_model(checkpoint: Path) -> None:
    model = serving.load(checkpoint)
    images = shapes(23)[0]
    together = model.predict(images)
    assert together.shape == (23, 10)
    assert together.dtype == np.float32
    assert np.allclose(together.sum(axis=1), 1, atol=1e-5)
    assert np.allclose(together, model.predict(images, batch=7), atol=1e-6)
    assert model.provenance["experiment_id"] == 1


def test_a_runner_answers_any_number_of_images_on_any_number_of_threads(checkpoint: Path) -> None:
    model = serving.load(checkpoint)
    images = shapes(20)[0]
    done: list[int] = []
    together = model.predict(images, batch=8, advance=done.append)
    assert done == [8, 8, 4]
    run = model.runner(threads=1)
    assert np.allclose(run(images[:1]), together[:1], atol=1e-6)
    assert np.allclose(run(images), together, atol=1e-6)
    assert np.allclose(run(images[5:6]), together[5:6], atol=1e-6)


@pytest.mark.parametrize("answer", [(0.5, 0.4), (1.5, -0.5), (float("nan"), 1.0)])
def test_answers_that_are_no_probabilities_are_refused(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[float, float]
) -> None:
    model = serving.load(checkpoint)
    wrong = np.array([answer], np.float32)
    monkeypatch.setattr(serving.ServingModel, "runner", lambda _: lambda images: np.repeat(wrong, len(images), axis=0))
    with pytest.raises(ServingFormatError, match="does not answer with probabilities"):
        model.predict(shapes(3)[0])


def test_size_and_latency_are_measured_with_their_spread(checkpoint: Path) -> None:
    model = serving.load(checkpoint)
    found = latency.measure(model, shapes(30)[0])
    assert found.bytes == (checkpoint / "serving" / "model.tflite").stat().st_size
    assert found.parameters == model.metadata["model"]["parameters"]
    assert 0 < found.single_median_ms <= found.single_p99_ms
    low, high = found.batch_rate_quartiles
    assert 0 < low <= found.batch_rate_median <= high
    assert "cores" in found.hardware


def test_no_serving_folder(tmp_path: Path) -> None:
    with pytest.raises(ServingFormatError, match="no folder serving/"):
        serving.load(tmp_path)


@pytest.mark.parametrize("name", ["model.tflite", "labels.json", "metadata.json", "SHA256SUMS"])
def test_a_missing_file_is_named(checkpoint: Path, name: str) -> None:
    (checkpoint / "serving" / name).unlink()
    with pytest.raises(ServingFormatError, match=f"serving/{name} cannot be read"):
        serving.load(checkpoint)


@pytest.mark.parametrize("name", ["model.tflite", "labels.json", "metadata.json"])
def test_one_flipped_bit_is_found(checkpoint: Path, name: str) -> None:
    path = checkpoint / "serving" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ServingFormatError, match=f"serving/{name} is corrupt"):
        serving.load(checkpoint)


def test_a_file_that_the_sums_leave_out_is_found(checkpoint: Path) -> None:
    sums = checkpoint / "serving" / "SHA256SUMS"
    sums.write_text("".join(line for line in sums.read_text().splitlines(keepends=True) if "labels" not in line))
    with pytest.raises(ServingFormatError, match="SHA256SUMS lists"):
        serving.load(checkpoint)


def test_another_format_is_refused(checkpoint: Path) -> None:
    folder = checkpoint / "serving"
    metadata = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({**metadata, "format_version": 2}))
    write_checksums(folder)
    with pytest.raises(ServingFormatError, match="format 2"):
        serving.load(checkpoint)


@pytest.mark.parametrize("content", ["not json", "[]", "{}"])
def test_broken_metadata_is_refused(checkpoint: Path, content: str) -> None:
    (checkpoint / "serving" / "metadata.json").write_text(content)
    write_checksums(checkpoint / "serving")
    with pytest.raises(ServingFormatError, match=r"metadata\.json"):
        serving.load(checkpoint)


@pytest.mark.parametrize(
    ("section", "content", "words"),
    [
        (
            "provenance",
            {},
            r"lacks provenance\.data_train\.repo, provenance\.data_train\.commit, provenance\.git\.commit",
        ),
        ("provenance", {"data_train": "fmnist-train", "git": None}, r"lacks provenance\.data_train\.repo"),
        ("model", {"name": "fashion-classifier"}, r"lacks model\.parameters$"),
        ("metrics", [0.9], r"lacks metrics\.validation_accuracy$"),
    ],
)
def test_metadata_without_what_the_report_tells_is_refused(
    checkpoint: Path, section: str, content: object, words: str
) -> None:
    path = checkpoint / "serving" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), section: content}))
    write_checksums(checkpoint / "serving")
    with pytest.raises(ServingFormatError, match=rf"serving/metadata\.json {words}"):
        serving.load(checkpoint)


def test_labels_that_do_not_fit_the_model_are_refused(checkpoint: Path) -> None:
    (checkpoint / "serving" / "labels.json").write_text(json.dumps(["one", "two"]))
    write_checksums(checkpoint / "serving")
    with pytest.raises(ServingFormatError, match="signature"):
        serving.load(checkpoint)


def test_bytes_that_are_no_model_are_refused(checkpoint: Path) -> None:
    (checkpoint / "serving" / "model.tflite").write_bytes(b"not a model")
    write_checksums(checkpoint / "serving")
    with pytest.raises(ServingFormatError, match="not a LiteRT model"):
        serving.load(checkpoint)
