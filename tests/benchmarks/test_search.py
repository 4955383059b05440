"""What the page of the search says of where its two models come from."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from benchmarks.search import report
from fmnist.model.curves import Curve

RESULTS: dict[str, Any] = json.loads((report.HERE / "results.json").read_text())


def page(**commits: str | None) -> str:
    results = copy.deepcopy(RESULTS)
    for model, commit in commits.items():
        results[model]["git_commit"] = commit
    return report.page(results, [Curve(**entry) for entry in results["trials"]])


def test_the_page_is_that_of_its_results() -> None:
    assert page() == (report.HERE / "README.md").read_text()


@pytest.mark.parametrize(("const", "words"), [("b" * 40, "bbbbbbbbbbbb"), (None, "unknown")])
def test_models_of_different_commits_are_said_to_be(const: str | None, words: str) -> None:
    text = page(winner="a" * 40, const=const)
    assert "both as" not in text
    assert f"git commits aaaaaaaaaaaa and {words}" in text
