"""The gate's report: complete, self-contained, and the same for the same results."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data.catalog import CLASS_NAMES
from fmnist.test import page, report, versions
from fmnist.test.evaluation import Evaluation
from fmnist.test.feedback import Feedback
from fmnist.test.report import Findings
from fmnist.test.settings import Settings
from fmnist.test.splits import SplitFacts
from fmnist.test.verdict import decide
from tests.fmnist.samples import (
    COMMIT,
    NAMES,
    NOBODY,
    SAME_ORIGIN,
    SERVING,
    WRONG,
    answering,
    findings,
    in_production,
    row,
)

FILES = ("report.json", "report.md", "report.html", "model_card.md")
SECTIONS = (
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
)


def write(folder: Path, found: Findings, rows: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Write the report's files; the document that they were made from."""
    document = report.document(found, 1.0)
    document["versions"] = [row(3, under_test=True), *rows]
    page.write(folder, document, found)
    return document


@dataclass(frozen=True)
class Written:
    """A folder with the report's files, and the document they were made from."""

    folder: Path
    document: dict[str, Any]

    def text(self, name: str) -> str:
        """What a file holds."""
        return (self.folder / name).read_text()


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


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A version that passed, against a better one in production, among three versions."""
    folder = tmp_path_factory.mktemp("passed")
    rows = (
        row(2, in_production=True, metadata={"owner": "Zoë <zoe@example.org>"}),
        row(1, accuracy=None, calibration_error=None, passed=None, git_commit=None, data_train=None),
    )
    live = in_production(answering(np.arange(200) % 10, range(19)))
    return Written(folder, write(folder, findings(incumbent=live), rows))


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A version of Fashion-MNIST's classes that failed, with nothing in production."""
    folder, settings = tmp_path_factory.mktemp("failed"), Settings(threshold=0.95)
    evaluation = answering(np.arange(200) % 10, WRONG, CLASS_NAMES)
    verdict = decide(evaluation, NOBODY, SAME_ORIGIN, Feedback(), settings)
    return Written(folder, write(folder, findings(settings, evaluation=evaluation, verdict=verdict)))


def test_the_page_needs_nothing_but_itself(passed: Written) -> None:
    text = passed.text("report.html")
    links = Links()
    links.feed(text)
    assert links.loaded
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links.loaded)
    assert links.tags.count("svg") == 3 + 5
    assert links.tags.count("figure") == 20 + 17
    assert "script" not in links.tags
    assert "<b>Pullover" not in text
    assert "url(" not in text.replace("url(#", "")


@pytest.mark.slow
def test_the_same_results_give_the_same_files(passed: Written, tmp_path: Path) -> None:
    live = in_production(answering(np.arange(200) % 10, range(19)))
    page.write(tmp_path, passed.document, findings(incumbent=live))
    for name in FILES:
        assert (tmp_path / name).read_text() == passed.text(name)


def test_the_document_is_plain_json_and_tells_everything(passed: Written) -> None:
    read = json.loads(passed.text("report.json"))
    assert read["format_version"] == 2
    results = read["results"]
    assert results["accuracy"] == pytest.approx(0.9)
    assert np.array(results["confusion"]).sum() == 200
    assert [entry["name"] for entry in results["classes"]] == list(NAMES)
    assert results["production"]["version"] == "2"
    assert results["production"]["difference"] == pytest.approx(-1 / 200)
    assert (results["production"]["gained"], results["production"]["lost"]) == (0, 1)
    assert len(results["robustness"]["results"]) == 17
    assert results["latency"]["bytes"] == 275904
    assert read["provenance"] == SERVING["provenance"]
    assert read["origin"]["same"] is True
    assert read["data"]["train"]["images"] == 60000
    assert read["data_test"] == {
        "reference": "fmnist-test@master",
        "repo": "fmnist-test",
        "commit": "8" * 32,
        "images": 200,
    }


def test_what_the_registry_keeps_is_small_and_plain(passed: Written, failed: Written) -> None:
    kept = report.summary(passed.document)
    assert kept["test_accuracy"] == passed.document["results"]["accuracy"]
    assert kept["against_production"]["version"] == "2"
    assert kept["robustness"]["shift 1"] == passed.document["results"]["robustness"]["results"][0]["accuracy"]
    assert kept["failed"] == []
    assert json.loads(json.dumps(kept)) == kept
    assert len(json.dumps(kept)) < 3000
    refused = report.summary(failed.document)
    assert (refused["passed"], refused["against_production"]["compared"]) == (False, False)
    assert "is below the threshold 0.9500" in refused["failed"][0]


def test_a_version_trained_on_a_folder_says_so(tmp_path: Path) -> None:
    nowhere = {"repo": None, "branch": None, "commit": None}
    provenance = {**SERVING["provenance"], "data_train": nowhere}
    facts = {"train": SplitFacts("a folder, not a commit", reason="nothing was recorded of it")}
    found = findings(serving={**SERVING, "provenance": provenance})
    write(tmp_path, replace(found, data={**found.data, **facts}))
    for name in ("report.md", "report.html", "model_card.md"):
        text = (tmp_path / name).read_text()
        assert "a folder, not a commit" in text
        assert "None@None" not in text


def test_the_pairs_that_are_confused_most_come_first() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    evaluation = Evaluation(np.eye(3)[[1, 1, 0, 2, 1, 2]], labels, ("a", "b", "c"))
    pairs = [(pair["truth"], pair["answer"], pair["images"]) for pair in report.confused(evaluation, 5)]
    assert pairs == [("a", "b", 2), ("b", "c", 1)]


@pytest.mark.parametrize(("which", "word"), [("passed", "passed"), ("failed", "FAILED")])
def test_the_markdown_says_the_verdict_and_why(request: pytest.FixtureRequest, which: str, word: str) -> None:
    files: Written = request.getfixturevalue(which)
    text = files.text("report.md")
    assert text.startswith(f"# fashion-classifier version 3: {word}\n")
    for finding in files.document["verdict"]["findings"]:
        assert f"- {finding['outcome']}: {finding['sentence']}\n" in text
    assert "(with uncommitted changes)" in text


@pytest.mark.parametrize(("name", "tables"), [("report.md", 5), ("model_card.md", 3)])
def test_markdown_tables_are_whole(passed: Written, failed: Written, name: str, tables: int) -> None:
    """Every row has as many cells as its heading, whatever is in them."""
    for files in (passed, failed):
        found = re.findall(r"(?:^\|.*\n)+", files.text(name), re.MULTILINE)
        assert len(found) == tables
        for table in found:
            cells = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
            assert len(set(cells)) == 1, table


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_every_version_is_listed_with_its_results_or_without(passed: Written, name: str) -> None:
    for words in ("in production", "this report", "no results", "not recorded", "2026-01-02"):
        assert words in passed.text(name), words


def test_versions_show_what_people_wrote_there_and_whole_ids_on_touch(passed: Written) -> None:
    html = passed.text("report.html")
    assert "owner: Zoë &lt;zoe@example.org&gt;" in html
    assert f'title="{COMMIT}"' in html


def test_the_model_card_has_the_published_sections_with_real_values(passed: Written) -> None:
    card = passed.text("model_card.md")
    assert re.findall(r"^## (.+)$", card, re.MULTILINE) == list(SECTIONS)
    for words in (
        "checkpoint `u-3`",
        f"git commit `{COMMIT}` with uncommitted changes",
        "epochs 7",
        "67,082 parameters",
        "temperature (1.037)",
        "60,000 images, 43 of them byte-identical",
        "6000, Trouser 6000",
        "cannot be read: it says nothing",
        "3 of its images have a near-duplicate in the train split",
        "an accuracy of at least 0.5",
    ):
        assert words in card, words


def test_only_fashion_mnist_is_described_as_fashion_mnist(passed: Written, failed: Written) -> None:
    assert "Zalando" not in passed.text("model_card.md")
    assert "Zalando" in failed.text("model_card.md")
    assert "The files are Fashion-MNIST's as published" in failed.text("model_card.md")


class TestVersions:
    """The table of versions, from what the API answers."""

    @staticmethod
    def version(number: int, metadata: Any, checkpoint: Any) -> Any:
        held = SimpleNamespace(uuid=f"u-{number}", metadata=checkpoint)
        return SimpleNamespace(version=number, checkpoint=held, metadata=metadata, creationTime="2026-01-01T00:00:00Z")

    def test_rows_come_newest_first_with_what_is_recorded(self) -> None:
        provenance = {"data_train": {"repo": "r", "commit": "c"}, "git": {"commit": COMMIT, "dirty": False}}
        known = [
            self.version(
                1, {"gate": {"test_accuracy": 0.8, "passed": False}, "owner": "me"}, {"provenance": provenance}
            ),
            self.version(2, {"gate": "by hand"}, None),
            self.version(3, None, {"provenance": "odd"}),
        ]
        rows = versions.table(known, 3, {"test_accuracy": 0.9, "passed": True}, in_production(None))
        assert [each.version for each in rows] == [3, 2, 1]
        newest, second, first = rows
        assert (newest.accuracy, newest.under_test, newest.data_train) == (0.9, True, None)
        assert (second.accuracy, second.in_production, second.metadata) == (None, True, {})
        assert (first.accuracy, first.data_train, first.git_commit) == (0.8, "r@c", COMMIT)
        assert first.metadata == {"owner": "me"}
        elsewhere = self.version(2, {}, {})
        elsewhere.checkpoint.uuid = "u-of-another-registry"
        assert not versions.table([elsewhere], 2, {}, in_production(None))[0].in_production

    def test_what_people_wrote_in_the_results_place_is_no_result(self, tmp_path: Path) -> None:
        odd = [
            self.version(
                1, {"gate": {"test_accuracy": "93 %", "passed": "yes"}}, {"provenance": {"git": {"commit": 7}}}
            ),
            self.version(2, {"gate": {"test_accuracy": 0.9, "test_calibration_error": "low"}}, None),
        ]
        second, first = versions.table(odd, 3, {}, in_production(None))
        assert (first.accuracy, first.passed, first.git_commit) == (None, None, None)
        assert (second.accuracy, second.calibration_error) == (0.9, None)
        write(tmp_path, findings(), (asdict(first), asdict(second)))
