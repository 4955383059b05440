"""The load test's page: what it reads from Locust's tables, and what the page says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.load import measure, report

STATS = """Type,Name,Request Count,Failure Count,Requests/s,50%,95%,99%,100%
POST,one image,80,0,8.04,5,9,12,40
POST,a mistake,20,1,2.0,4,6,7,7
,Aggregated,100,1,10.04,5,9,12,40
"""
HISTORY = """Timestamp,User Count,Type,Name,Requests/s,50%,95%,99%
1000,64,,Aggregated,0.00,N/A,N/A,N/A
1001,64,POST,one image,7.0,5,8,11
1001,64,,Aggregated,9.0,5,8,11
1003,64,,Aggregated,9.5,6,9,12
"""


@pytest.fixture
def results(tmp_path: Path) -> measure.Values:
    (tmp_path / "stats.csv").write_text(STATS)
    (tmp_path / "history.csv").write_text(HISTORY)
    return {
        "hardware": "a machine, 2 cores",
        "load_before": 0.1,
        "users": 64,
        "seconds": 10,
        "model_version": "3",
        "replicas": 1,
        "workers": 2,
        "threads": 4,
        "requests": measure.totals(tmp_path / "stats.csv"),
        "history": measure.history(tmp_path / "history.csv"),
    }


def test_the_tables_of_locust_are_read(results: measure.Values) -> None:
    assert results["requests"]["a mistake"]["failures"] == 1
    assert results["requests"]["all"]["p95"] == 9
    assert results["history"] == [[0, 9.0, 5.0, 8.0, 11.0], [2, 9.5, 6.0, 9.0, 12.0]]


def test_the_page_shows_every_kind_of_request_and_the_failures(results: measure.Values, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(results))
    report.write(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "| a mistake | 20 | 1 | 2 | 4 | 6 | 7 | 7 |" in page
    assert "replicas: 1, each of\n2 workers with 4 threads" in page
    assert (tmp_path / "waiting.png").stat().st_size > 1000
