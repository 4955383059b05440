"""The gate's report: complete, self-contained, and the same for the same results."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.validated import ValidatedSplit
from fmnist.errors import FmnistError
from fmnist.test import report
from fmnist.test.evaluation import Evaluation
from fmnist.test.gate import Settings
from fmnist.test.leakage import Leakage
from fmnist.test.report import RegisteredVersion, decide
from tests.fmnist.conftest import shapes

NAMES = ("T-shirt/top", "Trouser", "<b>Pullover</b>", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")
SERVING: dict[str, Any] = {
    "model": {"parameters": 67082},
    "provenance": {
        "data_train": {"repo": "fmnist-train-raw", "branch": "master", "commit": "1" * 32},
        "git": {"commit": "2" * 40, "dirty": True},
        "source_tree": "3" * 40,
        "experiment_id": 4,
        "trial_id": 5,
        "seed": 6,
        "config_sha256": "7" * 64,
        "lock_sha256": None,
    },
    "metrics": {"validation_accuracy": 0.93, "validation_loss": 0.21},
}


def evaluated(threshold: float = 0.5) -> tuple[dict[str, Any], Evaluation, ValidatedSplit]:
    """A report document of 200 answers, nine of ten right."""
    images, labels = shapes(200)
    split = ValidatedSplit(images, labels, "fmnist-test@master", "8" * 32)
    answers = labels.astype(int)
    answers[::10] = (answers[::10] + 1) % 10
    probabilities = np.full((200, 10), 0.02, np.float32)
    probabilities[np.arange(200), answers] = 0.82
    evaluation = Evaluation(probabilities, labels, NAMES)
    version = RegisteredVersion("fashion-classifier", 3, "uuid-of-the-checkpoint", "2026-01-01", {})
    document = report.document(
        model=version,
        serving=SERVING,
        split=split,
        seen=Leakage((0, 10, 11), "9" * 32),
        evaluation=evaluation,
        verdict=decide(evaluation, threshold),
        seconds=1.0,
    )
    return document, evaluation, split


class Links(HTMLParser):
    """Collects what a page would load, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note sources and references."""
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    document, evaluation, split = evaluated()
    report.write(tmp_path, document, evaluation, split)
    page = (tmp_path / "report.html").read_text()
    links = Links()
    links.feed(page)
    assert links.loaded
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links.loaded)
    assert links.tags.count("svg") == 3
    assert links.tags.count("figure") == 20
    assert "script" not in links.tags
    assert "<b>Pullover" not in page


def test_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    document, evaluation, split = evaluated()
    report.write(tmp_path / "first", document, evaluation, split)
    report.write(tmp_path / "second", document, evaluation, split)
    for name in ("report.json", "report.md", "report.html"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_the_document_is_plain_json_and_tells_everything(tmp_path: Path) -> None:
    document, evaluation, split = evaluated()
    report.write(tmp_path, document, evaluation, split)
    read = json.loads((tmp_path / "report.json").read_text())
    assert read["results"]["accuracy"] == pytest.approx(0.9)
    assert np.array(read["results"]["confusion"]).sum() == 200
    assert [entry["name"] for entry in read["results"]["classes"]] == list(NAMES)
    assert read["verdict"]["passed"] is True
    assert read["provenance"] == SERVING["provenance"]
    assert read["data_test"] == {
        "reference": "fmnist-test@master",
        "repo": "fmnist-test",
        "commit": "8" * 32,
        "images": 200,
    }
    kept = report.summary(read)
    assert kept["test_accuracy"] == read["results"]["accuracy"]
    assert json.loads(json.dumps(kept)) == kept


@pytest.mark.parametrize(("threshold", "word"), [(0.5, "passed"), (0.95, "FAILED")])
def test_the_markdown_says_the_verdict_and_why(tmp_path: Path, threshold: float, word: str) -> None:
    document, evaluation, split = evaluated(threshold)
    report.write(tmp_path, document, evaluation, split)
    text = (tmp_path / "report.md").read_text()
    assert text.startswith(f"# fashion-classifier version 3: {word}\n")
    assert f"{threshold:.4f}" in text
    assert "(with uncommitted changes)" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    tables = re.findall(r"\|\n\n|\|\n$", text)
    assert len(tables) == 3
    assert all(row.endswith("|") for row in rows)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ACCURACY_THRESHOLD": "91"}, "ACCURACY_THRESHOLD='91'"),
        ({"ACCURACY_THRESHOLD": "high"}, "ACCURACY_THRESHOLD='high'"),
        ({"ACCURACY_THRESHOLD": "nan"}, "ACCURACY_THRESHOLD='nan'"),
        ({"MODEL_VERSION": "v3"}, "MODEL_VERSION='v3'"),
    ],
)
def test_unusable_variables_are_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(FmnistError, match=message):
        Settings.from_environment(variables)


def test_the_defaults() -> None:
    settings = Settings.from_environment({})
    assert (settings.model_name, settings.model_version, settings.threshold) == ("fashion-classifier", None, 0.91)
    assert settings.test_data == "fmnist-test@master"
