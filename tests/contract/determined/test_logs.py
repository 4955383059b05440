"""Log streams: order, head, tail, filters, following."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from determined.common.api import bindings, errors
from determined.experimental import client

from tests.contract.determined.target import Target

LINE = re.compile(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\] .{8} (\[rank=\d+\] )?\|\| ")


@pytest.fixture(scope="module")
def everything(target: Target, trial: client.Trial) -> list[Any]:
    """All lines of the trial."""
    return list(bindings.get_TrialLogs(target.session, trialId=trial.id))


def test_lines_look_as_the_cli_prints_them(target: Target, trial: client.Trial, everything: list[Any]) -> None:
    assert all(LINE.match(line.message) for line in everything), everything
    assert all(line.message.endswith("\n") for line in everything)
    worse = next(line for line in everything if "a worse line" in line.message)
    assert (worse.stdtype, worse.level) == ("stderr", bindings.v1LogLevel.ERROR)
    assert worse.message.endswith("|| ERROR: a worse line\n")
    assert worse.log == "a worse line\n"
    said = [line.log for line in everything]
    assert "metadata {'a': {'c': [3]}}\n" in said
    assert said.index("best so far None\n") < next(
        n for n, text in enumerate(said) if text.startswith("best at last 0.")
    )
    whole = "".join(line.message for line in everything)
    assert target.det("experiment", "logs", str(trial.experiment_id)).startswith(whole)


def printed(target: Target, trial: client.Trial, *arguments: str) -> str:
    """What `det trial logs` prints before its farewell."""
    return target.det("trial", "logs", *arguments, str(trial.id)).rpartition("Trial log stream ended")[0]


@pytest.mark.slow
def test_head_and_tail(target: Target, trial: client.Trial, everything: list[Any]) -> None:
    messages = [line.message for line in everything]
    assert printed(target, trial, "--head", "2") == "".join(messages[:2])
    assert printed(target, trial, "--tail", "3") == "".join(messages[-3:])
    assert list(trial.iter_logs(tail=10_000)) == messages


def test_following_an_ended_trial_ends(target: Target, trial: client.Trial, everything: list[Any]) -> None:
    assert list(trial.iter_logs(follow=True)) == [line.message for line in everything]
    assert "finished Step 2" in target.det("trial", "logs", "-f", str(trial.id))


def test_filters(target: Target, trial: client.Trial, everything: list[Any]) -> None:
    def logged(**wanted: object) -> list[str]:
        return [line.id for line in bindings.get_TrialLogs(target.session, trialId=trial.id, **wanted)]

    def where(condition: Callable[[Any], bool]) -> list[str]:
        return [line.id for line in everything if condition(line)]

    levels = bindings.v1LogLevel
    assert logged(searchText="finished STEP") == where(lambda line: "finished Step" in line.log) != []
    assert logged(stdtypes=["stderr"]) == where(lambda line: line.stdtype == "stderr") != []
    assert logged(levels=[levels.ERROR]) == where(lambda line: line.level is levels.ERROR) != []
    assert logged(limit=2, orderBy=bindings.v1OrderBy.DESC) == [line.id for line in everything[:-3:-1]]
    worse = next(line for line in everything if line.level is levels.ERROR)
    assert logged(timestampBefore=worse.timestamp) == where(lambda line: line.timestamp <= worse.timestamp)
    assert logged(timestampAfter=worse.timestamp) == where(lambda line: line.timestamp > worse.timestamp)
    assert logged(timestampAfter="2100-01-01T00:00:00Z") == []
    assert logged(timestampBefore="2100-01-01T00:00:00+01:00") == where(lambda line: True)
    assert logged(containerIds=["another"]) == logged(agentIds=["another"]) == logged(sources=["another"]) == []
    assert logged(containerIds=[worse.containerId], agentIds=[worse.agentId]) == where(
        lambda line: line.containerId == worse.containerId
    )
    shown = target.det("trial", "logs", "--level", "WARNING", "--stdtype", "stderr", str(trial.id))
    assert "a worse line" in shown
    assert "a line with a level" not in shown


def test_logs_of_nothing(target: Target) -> None:
    with pytest.raises(errors.NotFoundException):
        list(bindings.get_TrialLogs(target.session, trialId=2**31 - 1))
