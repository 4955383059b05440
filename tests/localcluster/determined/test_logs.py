"""Log streams: live, complete, ended with the trial; filters; and how lines are read from a trial's output."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from determined.common import api
from determined.common.api import bindings
from hypothesis import given
from hypothesis import strategies as st

from localcluster.determined.agent.lines import MAX_LINE, LineSplitter, parse

from .conftest import Cluster, eventually


def test_follow_is_live_and_ends_with_the_trial(cluster: Cluster, session: api.Session) -> None:
    experiment = cluster.create(session, hyperparameters={"steps": 3, "pause": 0.6})
    trial = cluster.trial(session, experiment).id
    arrivals: list[tuple[float, str]] = []

    def follow() -> None:
        for line in bindings.get_TrialLogs(session, trialId=trial, follow=True):
            arrivals.append((time.time(), line.message))

    follower = threading.Thread(target=follow)
    follower.start()
    eventually(lambda: any("finished step 1" in text for _, text in arrivals), "the first step is seen")
    state = bindings.get_GetExperiment(session, experimentId=experiment).experiment.state
    assert state is bindings.experimentv1State.RUNNING
    assert not any("finished step 3" in text for _, text in arrivals)
    follower.join(60)
    assert not follower.is_alive()
    assert [text for _, text in arrivals] == cluster.logs(session, trial).splitlines(keepends=True)
    assert any("finished step 3" in text for _, text in arrivals)
    assert bindings.get_GetTrial(session, trialId=trial).trial.endTime


def test_filters(cluster: Cluster, session: api.Session, finished: int) -> None:
    trial = cluster.trial(session, finished).id
    everything = list(bindings.get_TrialLogs(session, trialId=trial))

    def logged(**wanted: object) -> list[str]:
        return [line.id for line in bindings.get_TrialLogs(session, trialId=trial, **wanted)]

    def where(condition: Callable[[Any], bool]) -> list[str]:
        return [line.id for line in everything if condition(line)]

    assert logged(searchText="finished step") == where(lambda line: "finished step" in line.message)
    steps = where(lambda line: "finished step" in line.message or "starts at step" in line.message)
    assert logged(searchText="step [0-9]$", enableRegex=True) == steps
    assert logged(stdtypes=["stderr"]) == where(lambda line: line.stdtype == "stderr")
    assert logged(levels=[bindings.v1LogLevel.INFO]) == where(lambda line: line.level is bindings.v1LogLevel.INFO)
    assert logged(limit=2, orderBy=bindings.v1OrderBy.DESC) == [line.id for line in everything[:-3:-1]]
    middle = everything[len(everything) // 2].timestamp
    assert logged(timestampBefore=middle) + logged(timestampAfter=middle) == where(
        lambda line: line.timestamp != middle
    )
    assert logged(containerIds=["another"]) == []
    assert logged(containerIds=[everything[0].containerId]) == where(lambda line: True)


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
