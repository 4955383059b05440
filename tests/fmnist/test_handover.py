"""What a pipeline takes from the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmnist.test import handover

DOCUMENT: dict[str, Any] = {
    "model": {"name": "fashion-classifier", "version": 3, "checkpoint_uuid": "8d2c"},
    "provenance": {"data_train": {"repo": "fmnist-train", "commit": "aa"}},
    "data_test": {"repo": "fmnist-test", "commit": "bb"},
    "results": {
        "accuracy": 0.9312,
        "calibration_error": 0.012,
        "cross_entropy": 0.2,
        "classes": [{"name": 'a "shirt"', "recall": 0.8}],
        "robustness": {"results": [{"kind": "noise", "strength": 0.1, "accuracy": 0.9}]},
        "latency": {"bytes": 100000, "single_median_ms": 0.31},
    },
}


def test_later_jobs_get_the_version_and_commits_instead_of_branches(tmp_path: Path) -> None:
    handover.write(tmp_path, DOCUMENT)
    assert (tmp_path / "model.env").read_text().splitlines() == [
        "MODEL_NAME=fashion-classifier",
        "MODEL_VERSION=3",
        "CHECKPOINT_UUID=8d2c",
        "TRAIN_DATA=fmnist-train@aa",
        "TEST_DATA=fmnist-test@bb",
    ]


def test_a_version_trained_on_a_folder_names_no_commit_of_it(tmp_path: Path) -> None:
    handover.write(tmp_path, {**DOCUMENT, "provenance": {"data_train": {"repo": None, "branch": None, "commit": None}}})
    assert "TRAIN_DATA" not in (tmp_path / "model.env").read_text()


def test_the_figures_are_in_the_text_format_of_prometheus(tmp_path: Path) -> None:
    handover.write(tmp_path, DOCUMENT)
    lines = (tmp_path / "metrics.txt").read_text().splitlines()
    assert lines[0] == "test_accuracy 0.931200"
    assert 'class_recall{class="a \\"shirt\\""} 0.800000' in lines
    assert 'disturbed_accuracy{kind="noise",strength="0.1"} 0.900000' in lines
    assert "model_size_bytes 100000" in lines
