"""Metric reports as the database keeps them: summaries, the best validation, numbers that JSON does not have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcluster.determined.state import metrics
from localcluster.determined.state.database import Database, Row

NUMBERS = st.one_of(st.floats(width=32), st.integers(-(2**31), 2**31))


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    found = Database(tmp_path_factory.mktemp("metrics") / "master.sqlite")
    found.execute("PRAGMA foreign_keys=OFF")
    yield found
    found.close()


def reported(db: Database, trial_id: int, name: str, averages: list[dict[str, Any]]) -> None:
    allocation: Any = {"trial_id": trial_id, "run": 1, "resumed_steps": 0}
    db.execute("DELETE FROM metrics WHERE trial_id = ?", trial_id)
    for step, average in enumerate(averages, 1):
        metrics.add(db, allocation, metrics.Report(name, step, average))


def best(db: Database, smaller: bool) -> Row | None:
    return metrics.best_validation(db, 1, "a metric", smaller)


@given(values=st.lists(NUMBERS, min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_summary_and_best_are_those_of_the_finite_values(db: Database, values: list[float]) -> None:
    reported(db, 1, metrics.VALIDATION, [{"a metric": value, "epochs": 3} for value in values])
    finite = [value for value in values if math.isfinite(value)]
    summary = metrics.summary(db, 1)["validation_metrics"]["a metric"]
    smallest, largest = best(db, smaller=True), best(db, smaller=False)
    assert summary["count"] == len(finite)
    assert summary["last"] == metrics.finite(values[-1])
    if finite:
        assert (summary["min"], summary["max"]) == (min(finite), max(finite))
        assert summary["sum"] == pytest.approx(sum(finite), rel=1e-6, abs=1e-6)
        assert smallest is not None
        assert largest is not None
        assert values[smallest["steps"] - 1] == min(finite)
        assert values[largest["steps"] - 1] == max(finite)
    else:
        assert smallest is None
        assert largest is None


def test_metrics_of_other_types_are_kept_and_never_ranked(db: Database) -> None:
    reported(
        db,
        1,
        metrics.VALIDATION,
        [{"a metric": "a word", 'odd "name".$[0]': 1}, {"a metric": True}, {"a metric": None}],
    )
    assert best(db, smaller=True) is None
    summary = metrics.summary(db, 1)["validation_metrics"]
    assert summary["a metric"]["count"] == 0
    assert summary['odd "name".$[0]'] == {"type": "number", "count": 1, "last": 1, "sum": 1, "min": 1, "max": 1}
