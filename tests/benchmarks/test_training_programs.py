"""The measurements of training, each program once on a few easy images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.training import arithmetic, levels, quantised, report, setting, time_to_accuracy
from tests.fmnist.conftest import REPOSITORY, shapes

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("benchmarks"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and test splits that every network learns."""
    folder = tmp_path_factory.mktemp("data")
    for name, seed in (("train", 0), ("test", 1)):
        (folder / name).mkdir()
        images, labels = shapes(setting.QUICK_IMAGES, seed)
        np.save(folder / name / "images.npy", images)
        np.save(folder / name / "labels.npy", labels)
    return folder


def quick(module: str, data: Path, results: Path, *options: str) -> tuple[dict[str, Any], str]:
    """The results and the page of a program that ran on a few images."""
    command = [sys.executable, "-m", f"benchmarks.training.{module}", "--quick", f"--data={data}", "--seeds", "1"]
    done = subprocess.run(
        [*command, f"--results={results}", *options], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (written,) = results.glob("*.json")
    document: dict[str, Any] = json.loads(written.read_text())
    return document, (results / "README.md").read_text()


def test_time_to_accuracy_runs(data: Path, tmp_path: Path) -> None:
    options = ("--schedules", "1", "--peers", "adam", "--peer-epochs", "1")
    document, page = quick("time_to_accuracy", data, tmp_path, *options)
    ours, adam = document["runs"]
    assert (ours["recipe"], adam["recipe"]) == ("ours", "adam")
    assert 0 < ours["points"][0]["seconds"] < ours["seconds"]
    # Done when it has reached the highest level.
    looks = [point["epochs"] for point in adam["points"]]
    assert looks == [0.25, 0.5, 0.75, 1.0][: len(looks)]
    assert (len(looks) == 4) or adam["points"][-1]["accuracy"] >= levels.LEVELS[-1]
    seconds = [point["seconds"] for point in adam["points"]]
    assert seconds == sorted(seconds)
    assert adam["points"][-1]["accuracy"] > 0.5
    assert "Seconds to a test accuracy" in page
    before = (tmp_path / time_to_accuracy.RESULTS).read_bytes()
    quick("time_to_accuracy", data, tmp_path, *options)
    assert (tmp_path / time_to_accuracy.RESULTS).read_bytes() == before


def test_arithmetic_runs(data: Path, tmp_path: Path) -> None:
    variants = ["2 filters fewer", *(["bfloat16"] if arithmetic.bfloat16() else [])]
    document, page = quick("arithmetic", data, tmp_path, "--steps=5", "--variants", *variants)
    base, *others = document["runs"]
    assert [other["variant"] for other in others] == variants
    assert base["variant"] == report.RECIPE
    assert 2.5 < base["flop"]["training"] / base["flop"]["forward"] < 4
    assert base["peak"] > base["images_per_second"] * base["flop"]["training"] > 0
    assert 0 < base["parts"]["forward"] < base["parts"]["forward_backward"]
    assert {"Conv2D", "Conv2DBackpropFilter"} <= set(base["ops"])
    assert "GFLOP/s" in page


def test_ablation_runs(data: Path, tmp_path: Path) -> None:
    document, page = quick("ablation", data, tmp_path, "--rows", "no mirrored images")
    assert [each["row"] for each in document["runs"]] == [report.RECIPE, "no mirrored images"]
    assert "What each choice is worth" in page


def test_measure_runs(data: Path, tmp_path: Path) -> None:
    document, page = quick("measure", data, tmp_path)
    assert 0 <= document["runs"][0]["test_accuracy"] <= 1
    assert "| `const.yaml`, epochs 1, " in page


def test_quantised_runs(data: Path, tmp_path: Path) -> None:
    document, page = quick("quantised", data, tmp_path)
    forms = document["runs"][0]["forms"]
    served = forms.pop(quantised.SERVED)
    smaller = list(forms.values())
    assert served["differ"] == 0
    assert len(smaller) == 3
    for each in smaller:
        assert each["bytes"] < served["bytes"]
        assert 0 < each["largest_difference"] <= 1
        assert each["differ"] < 0.2
        assert len(each["single"]) == len(each["batch"]) == quantised.REPEATS
    assert "Smaller forms" in page
