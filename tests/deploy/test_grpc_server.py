"""Our gRPC server beside gRPC's own: the same answers, codes and words to gRPC's client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.test_counters import in_serving_environment

PROGRAM = Path(__file__).with_name("grpc_sides.py")


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(in_serving_environment(tmp_path_factory.mktemp("grpc"), PROGRAM))
    return found


def test_every_answer_is_that_of_grpcs_own_server(sides: dict[str, Any]) -> None:
    assert sides["ours"] == sides["theirs"]
    assert {answer[0] for question, answer in sides["ours"].items() if question != "reflection"} == {
        *("OK", "UNKNOWN", "NOT_FOUND", "INTERNAL", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED")
    }


def test_of_many_calls_at_once_each_gets_its_own_answer(sides: dict[str, Any]) -> None:
    assert sides["mixed up"] == []


def test_who_gives_up_disturbs_nobody(sides: dict[str, Any]) -> None:
    assert sides["after"] == ["OK", "", b"AFTER".hex()]


def test_seldons_tracing_can_stand_in_front_of_it(sides: dict[str, Any]) -> None:
    assert sides["traced"] == ["OK", "", b"TRACED".hex()]


def test_after_sigterm_a_call_that_has_come_is_answered_and_no_connection_is_taken(sides: dict[str, Any]) -> None:
    assert sides["last"] == ["OK", "", b"last".hex(), "refused"]
    assert sides["exit"] == [0, 0]
