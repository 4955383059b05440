"""The network, its schedule, its export, and a whole trial off the cluster."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fmnist.test import serving
from tests.conftest import validated
from tests.fmnist.conftest import SOURCE, shapes, wait_until

pytestmark = pytest.mark.xdist_group("tensorflow")

CONST: dict[str, Any] = yaml.safe_load((SOURCE / "const.yaml").read_text())
SETTINGS = CONST["hyperparameters"]


def test_the_network_is_small() -> None:
    import network

    model = network.build(SETTINGS["width"], SETTINGS["late_width"], SETTINGS["depth"], classes=10)
    assert network.parameter_count(model) < 100_000
    assert model.output_shape == (None, 10)
    assert model.input_shape == (None, 28, 28)
    images = shapes(6)[0]
    assert np.allclose(network.logits(model, images, True), network.logits(model, images[:, :, ::-1], True), atol=1e-5)
    assert not np.allclose(
        network.logits(model, images, False), network.logits(model, images[:, :, ::-1], False), atol=1e-2
    )


def test_the_temperature_minimises_the_loss() -> None:
    import export

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 10)).astype(np.float32)
    labels = np.array([rng.choice(10, p=row) for row in export.probabilities(logits, 1.0)])
    temperature = export.fit_temperature(3 * logits, labels)
    assert temperature == pytest.approx(3, rel=0.1)
    best = export.cross_entropy(3 * logits, labels, temperature)
    for other in (temperature * 0.98, temperature * 1.02, 1.0):
        assert best < export.cross_entropy(3 * logits, labels, other)
    assert export.cross_entropy(logits[:1], labels[:1]) == pytest.approx(
        -math.log(export.probabilities(logits[:1], 1.0)[0, labels[0]]), abs=1e-6
    )


def test_batches_are_streamed_without_the_tuner_that_holds_up_the_end() -> None:
    import training

    batches = [(shapes(5)[0], np.eye(10, dtype=np.float32)[:5]), (shapes(2)[0], np.eye(10, dtype=np.float32)[:2])]
    dataset = training.streamed(lambda: iter(batches), classes=10)
    assert dataset.options().autotune.enabled is False
    for (images, targets), (streamed, wanted) in zip(batches, dataset.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(images, streamed)
        np.testing.assert_array_equal(targets, wanted)


SMALL: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 50,
    "width": 8,
    "late_width": 16,
    "validation_images": 200,
    "shift": 1,
    "learning_rate": 0.01,
}


def trial(data: Path, checkpoints: Path, *more: str) -> list[str]:
    """The command of a small trial off the cluster: 2,000 images, 3 epochs."""
    options = [f"--set={name}={value}" for name, value in SMALL.items()]
    return [sys.executable, "train.py", "--data", str(data), "--checkpoints", str(checkpoints), *options, *more]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a train split of 2,000 images."""
    folder = tmp_path_factory.mktemp("data")
    images, labels = shapes(2000)
    for name, content in validated(images, labels).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Log and checkpoint folder of a whole trial."""
    checkpoints = tmp_path_factory.mktemp("checkpoints")
    done = subprocess.run(trial(data, checkpoints), cwd=SOURCE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr, checkpoints


@pytest.mark.slow
def test_a_finished_training_has_nothing_to_resume(data: Path, finished: tuple[str, Path], tmp_path: Path) -> None:
    log, checkpoints = finished
    uuid = final(log, checkpoints).name
    done = subprocess.run(
        trial(data, checkpoints, "--resume", uuid), cwd=SOURCE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"the final checkpoint {uuid} is already there" in done.stdout
    elsewhere = subprocess.run(
        trial(data, tmp_path / "other", "--resume", uuid), cwd=SOURCE, capture_output=True, text=True, check=False
    )
    assert elsewhere.returncode == 1
    assert f"ConfigError: --resume {uuid}: no such checkpoint in {tmp_path / 'other'}" in elsewhere.stdout


@pytest.mark.slow
def test_weights_of_another_network_are_no_warm_start(finished: tuple[str, Path]) -> None:
    import network
    from errors import ConfigError
    from training import warm_start

    folder = final(*finished)
    warm_start(network.build(SMALL["width"], SMALL["late_width"], SETTINGS["depth"], 10), folder, "its own")
    for width, depth in ((12, SETTINGS["depth"]), (SMALL["width"], SETTINGS["depth"] + 1)):
        with pytest.raises(
            ConfigError, match=r"checkpoint another holds another network .*width, late_width and depth"
        ):
            warm_start(network.build(width, SMALL["late_width"], depth, 10), folder, "another")


def final(log: str, checkpoints: Path) -> Path:
    found = re.search(r"final checkpoint (\S+):", log)
    assert found, log
    return checkpoints / found[1]


@pytest.mark.slow
def test_a_trial_ends_with_a_complete_serving_folder(finished: tuple[str, Path]) -> None:
    log, checkpoints = finished
    folder = final(log, checkpoints) / "serving"
    for manifest in (folder, folder.parent):
        subprocess.run(
            ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=manifest, check=True, capture_output=True
        )
    listed = {line.split()[1] for line in (folder.parent / "SHA256SUMS").read_text().splitlines()}
    # Determined writes its metadata.json after the manifest.
    there = {str(path.relative_to(folder.parent)) for path in folder.parent.rglob("*") if path.is_file()}
    assert there - listed == {"SHA256SUMS", "metadata.json"}
    assert any(name.startswith("model_checkpoint.data") for name in listed)
    assert json.loads((folder / "labels.json").read_text()) == CONST["data"]["labels"]
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["metrics"]["validation_accuracy"] > 0.9
    assert metadata["provenance"]["seed"] == CONST["reproducibility"]["experiment_seed"]
    described = json.loads((folder.parent / "metadata.json").read_text())
    assert described["provenance"] == metadata["provenance"]
    assert described["metrics"] == metadata["metrics"]
    assert described["temperature"] == metadata["temperature"] > 0
    assert described["hyperparameters"] == metadata["hyperparameters"] == {**SETTINGS, **SMALL}
    assert set(metadata["software"]) == {"python", "tensorflow"}
    assert described["steps_completed"] == 3 * 36 + 1


@pytest.mark.slow
def test_the_final_checkpoint_ranks_first(finished: tuple[str, Path]) -> None:
    log, _ = finished
    reported = re.findall(r"group=validation, steps_completed=(\d+).*'validation_loss': ([\d.e-]+)", log)
    assert [int(steps) for steps, _ in reported] == [36, 72, 108, 109]
    losses = [float(loss) for _, loss in reported]
    assert losses[-1] < min(losses[:-1])


@pytest.mark.slow
def test_the_exported_model_answers_as_keras_does(finished: tuple[str, Path]) -> None:
    """Weights and temperature of the checkpoint in a network built anew, against LiteRT in batches of several sizes."""
    import export
    import network

    log, checkpoints = finished
    checkpoint = final(log, checkpoints)
    model = network.build(SMALL["width"], SMALL["late_width"], SETTINGS["depth"], 10)
    model.load_weights(str(checkpoint / "model_checkpoint")).expect_partial()
    temperature = json.loads((checkpoint / "metadata.json").read_text())["temperature"]
    blank = np.stack([np.full((28, 28), grey, np.uint8) for grey in (0, 255)])
    images = np.concatenate([shapes(1000, seed=9)[0], blank])
    expected = export.probabilities(network.logits(model, images, True).numpy(), temperature)
    exported = serving.load(checkpoint)
    for size in (1, 7, 500):
        assert np.abs(exported.predict(images, batch=size) - expected).max() <= export.TOLERANCE == 1e-4


@pytest.mark.slow
def test_a_killed_trial_goes_on_as_if_nothing_had_happened(
    data: Path, finished: tuple[str, Path], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            trial(data, tmp_path / "checkpoints"),
            cwd=SOURCE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    wait_until(lambda: "saved checkpoint" in log.read_text(), "the first epoch's checkpoint", seconds=200)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=20)
    saved = re.findall(r"saved checkpoint (\S+)", log.read_text())
    assert "final checkpoint" not in log.read_text()
    resumed = subprocess.run(
        trial(data, tmp_path / "checkpoints", "--resume", saved[-1]),
        cwd=SOURCE,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    epochs = re.findall(r"epoch (\d) of 3", log.read_text()[: log.read_text().rindex("saved checkpoint")] + resumed)
    assert epochs == ["1", "2", "3"]
    digests = {
        hashlib.sha256((final(text, folder) / "serving" / "model.tflite").read_bytes()).hexdigest()
        for text, folder in (finished, (resumed, tmp_path / "checkpoints"))
    }
    assert len(digests) == 1


@pytest.mark.slow
def test_a_trial_refuses_before_it_starts_tensorflow(data: Path, tmp_path: Path) -> None:
    def run(*more: str) -> str:
        done = subprocess.run(trial(data, tmp_path, *more), cwd=SOURCE, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stdout

    assert "ConfigError: hyperparameters.epochs=0" in run("--set=epochs=0")
    (tmp_path / "empty").mkdir()
    assert "ConfigError: no training data" in run("--data", str(tmp_path / "empty"))
    inside = SOURCE / "checkpoints"
    assert "must lie outside" in run("--checkpoints", str(inside))
    assert not inside.exists()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model_to_the_bit(finished: tuple[str, Path], data: Path, tmp_path: Path) -> None:
    log, checkpoints = finished
    again = subprocess.run(trial(data, tmp_path), cwd=SOURCE, capture_output=True, text=True, check=True).stdout
    other = subprocess.run(
        trial(data, tmp_path, "--seed=7"), cwd=SOURCE, capture_output=True, text=True, check=True
    ).stdout
    first, same, different = (
        (final(text, folder) / "serving" / "model.tflite").read_bytes()
        for text, folder in ((log, checkpoints), (again, tmp_path), (other, tmp_path))
    )
    assert first == same
    assert first != different
