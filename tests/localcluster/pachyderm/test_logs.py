"""Log files: bounded, readable while they grow, and gone with what they belong to."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster.pachyderm import logs
from localcluster.pachyderm.logs import Logs


def _messages(path: Path, offset: int = 0) -> list[str]:
    return [line.message for line, _ in logs.read(path, offset)]


def test_a_log_is_read_on_from_where_reading_ended(tmp_path: Path) -> None:
    store = Logs(tmp_path)
    path = store.path(1, 7)
    assert _messages(path) == []
    store.write(path, "one", "two \u2603", user=True, datum="d")
    (first, _), (second, end) = logs.read(path)
    assert (first.message, second.message, second.user, second.datum) == ("one", "two \u2603", True, "d")
    version = store.version
    store.write(path, "three")
    store.wait(version)
    assert _messages(path, end) == ["three"]


def test_a_torn_line_hides_no_other(tmp_path: Path) -> None:
    store = Logs(tmp_path)
    path = store.path(1, 7)
    store.write(path, "before")
    with path.open("ab") as stream:
        stream.write(b'{"time": 1, "mess\n')
    store.write(path, "after")
    with path.open("ab") as stream:
        stream.write(b'{"time": 1')
    assert _messages(path) == ["before", "after"]


def test_a_log_is_bounded_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 10_000)
    store = Logs(tmp_path)
    path = store.path(1, 7)
    for number in range(1000):
        store.write(path, f"line {number}", user=True)
    store.write(path, "errored")
    messages = _messages(path)
    assert messages[0] == "line 0"
    assert messages[-2:] == [
        "the log has reached 10000 bytes; what user code writes is no longer kept",
        "errored",
    ]
    assert sum("no longer kept" in message for message in messages) == 1
    assert path.stat().st_size < 11_000


def test_logs_go_with_their_pipeline_and_their_job(tmp_path: Path) -> None:
    store = Logs(tmp_path)
    for pipeline, job in ((1, 10), (1, 9), (2, 11)):
        store.write(store.path(pipeline, job), "line")
        store.write(store.path(pipeline), "master")
    assert store.jobs(1) == [9, 10]
    store.collect({1: {10}})
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.jsonl"))] == [
        "1/10.jsonl",
        "1/master.jsonl",
    ]
