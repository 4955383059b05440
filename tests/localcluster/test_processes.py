"""Processes are found again by pid and start time, end on request, and show who holds a port."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from localcluster.processes import ProcessRecord, listener, marked, start_detached, stop

SLEEPER = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


def wait_for(text: str, path: Path) -> None:
    deadline = time.monotonic() + 20
    while text not in path.read_text():
        assert time.monotonic() < deadline, f"{path} never said {text!r}"
        time.sleep(0.02)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "process.log"


def test_a_process_is_found_by_another_reader_of_its_record(tmp_path: Path, log: Path) -> None:
    record = start_detached(SLEEPER, os.environ, log, tmp_path)
    record.write(tmp_path / "record.json")
    read = ProcessRecord.read(tmp_path / "record.json")
    assert read == record
    process = record.process()
    assert process is not None
    assert os.getsid(record.pid) == record.pid
    process.kill()
    process.wait(10)
    assert record.process() is None


def test_a_later_process_with_the_same_pid_is_another_one() -> None:
    own = ProcessRecord.of(os.getpid())
    assert own.process() is not None
    assert ProcessRecord(own.pid, own.started - 100).process() is None


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"pid": 1}', "not json"])
def test_a_spoilt_record_counts_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(content)
    assert ProcessRecord.read(path) is None


def test_stop_asks_first_and_kills_the_stubborn(tmp_path: Path, log: Path) -> None:
    polite = start_detached(SLEEPER, os.environ, log, tmp_path)
    wait_for("up", log)
    assert stop(psutil.Process(polite.pid), grace=20)
    other = log.with_name("stubborn.log")
    stubborn = start_detached(STUBBORN, os.environ, other, tmp_path)
    wait_for("up", other)
    assert not stop(psutil.Process(stubborn.pid), grace=0.3)
    assert stubborn.process() is None


def test_a_mark_in_the_environment_finds_a_process(tmp_path: Path, log: Path) -> None:
    record = start_detached(SLEEPER, os.environ | {"TEST_MARK": str(tmp_path)}, log, tmp_path)
    assert [process.pid for process in marked("TEST_MARK", str(tmp_path))] == [record.pid]
    os.kill(record.pid, signal.SIGKILL)


def test_the_holder_of_a_port_is_named() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert f"(pid {os.getpid()})" in str(listener("127.0.0.1", port))
    assert listener("127.0.0.1", port) is None
