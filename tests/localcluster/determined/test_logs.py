"""Log streams: live, complete, ended with the trial; filters; and how lines are read from a trial's output."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from determined.common import api
from determined.common.api import bindings
from hypothesis import given
from hypothesis import strategies as st

from localcluster.determined.agent.lines import MAX_LINE, LineSplitter, parse

from .conftest import Cluster

ODD = r"""
import sys
write = sys.stdout.buffer.write
write(b"x" * 65536 + b"\n")
write(b"not \xff UTF-8\n")
write(b"\x1b[32mgreen\x1b[0m\n")
write(b" 1%\r50%\r99%\r\n")
write("nul \0 tab \t line separator \u2028 ende\n".encode())
write(b"\n")
write(b"no newline")
"""
PATIENT = """
import pathlib, sys, time
print("first", flush=True)
deadline = time.monotonic() + 60
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
    assert time.monotonic() < deadline, "nobody saw the first line"
print("second")
"""
MANY = 200_000


def printed(cluster: Cluster, session: api.Session, program: str) -> int:
    """The trial of an experiment that ran a program; every line that it printed is stored."""
    experiment = cluster.create(session, entrypoint=["python3", "-c", program])
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    return int(cluster.trial(session, experiment).id)


def test_follow_is_live_and_ends_with_the_trial(cluster: Cluster, session: api.Session, tmp_path: Path) -> None:
    """The trial goes on only after its first line was seen."""
    seen = tmp_path / "seen"
    experiment = cluster.create(session, entrypoint=["python3", "-c", PATIENT, str(seen)])
    trial = cluster.trial(session, experiment).id
    arrived: list[str] = []

    def follow() -> None:
        for line in bindings.get_TrialLogs(session, trialId=trial, follow=True):
            arrived.append(line.message)
            if line.log == "first\n":
                seen.touch()

    follower = threading.Thread(target=follow)
    follower.start()
    follower.join(90)
    assert not follower.is_alive()
    assert bindings.get_GetTrial(session, trialId=trial).trial.state is bindings.trialv1State.COMPLETED
    assert arrived == cluster.logs(session, trial).splitlines(keepends=True)
    assert "second" in arrived[-1]


@pytest.mark.slow
def test_odd_lines_arrive_as_one_line_each(cluster: Cluster, session: api.Session) -> None:
    lines = [line.log for line in bindings.get_TrialLogs(session, trialId=printed(cluster, session, ODD))]
    expected = [
        "x" * 65536,
        "not \ufffd UTF-8",
        "\x1b[32mgreen\x1b[0m",
        "99%",
        "nul  tab \t line separator \u2028 ende",
    ]
    assert [line.removesuffix("\n") for line in lines][-7:] == [*expected, "", "no newline"]


@pytest.mark.slow
def test_a_long_log_is_streamed_in_bounded_memory(cluster: Cluster, session: api.Session) -> None:
    trial = printed(cluster, session, f"for n in range({MANY}): print(n)")
    assert cluster.process
    before = peak_memory(cluster.process.pid)
    numbers = [line.log for line in bindings.get_TrialLogs(session, trialId=trial) if line.log.strip().isdecimal()]
    assert numbers == [f"{n}\n" for n in range(MANY)]
    tail = bindings.get_TrialLogs(session, trialId=trial, limit=2, orderBy=bindings.v1OrderBy.DESC)
    assert [line.log for line in tail] == [f"{MANY - 1}\n", f"{MANY - 2}\n"]
    found = bindings.get_TrialLogs(session, trialId=trial, searchText="^1999[0-9]{2}$", enableRegex=True)
    assert len(list(found)) == 100
    assert peak_memory(cluster.process.pid) - before < 32 << 20


def peak_memory(pid: int) -> int:
    """The most memory a process had, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) << 10


def test_regular_expressions(cluster: Cluster, session: api.Session, finished: int) -> None:
    trial = cluster.trial(session, finished).id
    found = bindings.get_TrialLogs(session, trialId=trial, searchText="step [0-9]$", enableRegex=True)
    expected = [line for line in cluster.logs(session, trial).splitlines() if re.search("step [0-9]$", line)]
    assert [line.message.rstrip("\n") for line in found] == expected != []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("searchText=(&enableRegex=true", "searchText"),
        ("timestampAfter=yesterday", "timestampAfter"),
        ("timestampBefore=2021-10-26T23:17:12", "timestampBefore"),
        ("timestampBefore=0001-01-01T00:00:00%2B01:00", "timestampBefore"),
        ("rankIds=first", "rankIds"),
        ("limit=-1", "limit"),
    ],
)
def test_a_wrong_filter_is_refused_by_name(
    cluster: Cluster, session: api.Session, finished: int, query: str, words: str
) -> None:
    path = f"/api/v1/trials/{cluster.trial(session, finished).id}/logs?{query}"
    status, body = cluster.request("GET", path, Authorization=f"Bearer {session.token}")
    assert status == 400
    assert words in body["message"]


def test_the_trial_inherits_what_it_needs(cluster: Cluster, session: api.Session, finished: int) -> None:
    text = cluster.logs(session, cluster.trial(session, finished).id)
    assert "pach /nowhere/pachyderm.json" in text
    assert "threads 1 " in text


def test_level_and_rank_are_told_from_the_text() -> None:
    line = parse("[rank=3] WARNING: hot", "stderr")
    assert (line["rank"], line["level"], line["log"], line["stdtype"]) == (3, "WARNING", "hot", "stderr")
    assert parse("nothing: special", "stdout")["level"] == ""


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_lines_do_not_depend_on_how_bytes_arrive(pieces: list[bytes]) -> None:
    whole, split = LineSplitter(), LineSplitter()
    at_once = whole.feed(b"".join(pieces)) + whole.finish()
    one_by_one = [line for piece in pieces for line in split.feed(piece)] + split.finish()
    assert at_once == one_by_one
    assert len(at_once) >= b"".join(pieces).count(b"\n")


def test_a_progress_bar_leaves_its_last_state_and_endless_lines_are_broken() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b" 1%\r50%\r99%\r\n") == ["99%"]
    assert [len(line) for line in splitter.feed(b"x" * (2 * MAX_LINE + 5)) + splitter.finish()] == [
        MAX_LINE,
        MAX_LINE,
        5,
    ]
