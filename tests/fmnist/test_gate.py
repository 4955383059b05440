"""What the gate refuses to measure with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data import validated
from data.validated import ValidatedSplit
from fmnist import registry
from fmnist.errors import FmnistError, PlatformUnreachable
from fmnist.test import gate
from fmnist.test.serving import ServingModel
from fmnist.test.settings import Settings

COMMIT = "4" * 32
PACHYDERM: Any = None


def of(test_data: str, **provenance: object) -> ValidatedSplit:
    """The test split of a model with this provenance."""
    model = ServingModel(b"", ("a", "b"), {"provenance": provenance})
    return gate._test_split(PACHYDERM, Settings(test_data=test_data), model)


@pytest.fixture(autouse=True)
def split(monkeypatch: pytest.MonkeyPatch) -> None:
    """One commit under whatever name."""
    images, labels = np.zeros((2, 28, 28), np.uint8), np.array([0, 1], np.uint8)
    monkeypatch.setattr(validated, "read", lambda _, reference: ValidatedSplit(images, labels, reference, COMMIT))


@pytest.mark.parametrize("name", ["data_train", "data_feedback"])
@pytest.mark.parametrize("reference", ["digits@master", f"digits@{COMMIT}", "default/digits@master"])
def test_what_the_model_was_trained_on_is_no_test_split(name: str, reference: str) -> None:
    read = {"data_train": {"repo": "digits", "commit": "5" * 32}, name: {"repo": "digits", "commit": COMMIT}}
    with pytest.raises(FmnistError, match=rf"trained on {reference} itself .*set TEST_DATA"):
        of(reference, **read)


def test_the_commits_of_one_commit_set_share_their_id() -> None:
    read = {"repo": "fmnist-train", "branch": "master", "commit": COMMIT}
    assert of("fmnist-test@master", data_train=read, data_feedback=None).commit == COMMIT
    assert of("theirs/fmnist-train@master", data_train=read).commit == COMMIT
    assert of("fmnist-test@master", data_train={"repo": None, "branch": None, "commit": None}).commit == COMMIT


def test_a_gate_that_breaks_down_leaves_no_report_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would say that another version, or this one before, has passed."""
    written = ("report.json", "report.md", "report.html", "model_card.md", "model.env", "metrics.txt")
    for name in (*written, "notes.txt"):
        (tmp_path / name).write_text("passed")

    def refused() -> None:
        raise PlatformUnreachable("Determined does not answer")

    monkeypatch.setattr(registry, "connect", refused)
    with pytest.raises(PlatformUnreachable):
        gate.run_gate(Settings(report_folder=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_a_gate_that_cannot_run_says_why_and_no_more() -> None:
    """The errors behind that one are the clients', and a screen long."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "fmnist/test/test_model_accuracy.py"]
    done = subprocess.run(
        command,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "DET_MASTER": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "PlatformUnreachable: Determined at http://127.0.0.1:9" in done.stdout
    assert "another exception" not in done.stdout
    assert "following exception" not in done.stdout
