"""How Seldon's gRPC server answers what the model raises, in the serving environment."""

from __future__ import annotations

import json
from pathlib import Path

from tests.deploy.test_counters import in_serving_environment

PROGRAM = Path(__file__).with_name("refusing.py")

STATUS = {
    "BadInput": "INVALID_ARGUMENT",
    "ModelError": "UNAVAILABLE",
    "SpoolError": "UNAVAILABLE",
    "ZeroDivisionError": "INTERNAL",
}


def test_each_error_has_its_status_its_own_words_and_is_counted(tmp_path: Path) -> None:
    answers, counted = json.loads(in_serving_environment(tmp_path, PROGRAM))
    expected = {(method, error): status for method in ("predict", "feedback") for error, status in STATUS.items()}
    assert {(method, error): status for method, error, status, _ in answers} == expected
    assert {details for *_, details in answers} == {"what failed, and what to do next"}
    assert sorted(counted) == sorted(
        [method, status, list(expected.values()).count(status) / 2]
        for method in ("predict", "feedback")
        for status in set(STATUS.values())
    )


def test_quick_is_what_takes_no_longer_than_its_bytes_and_only_calls_are_answered_as_calls(tmp_path: Path) -> None:
    quick, requests = json.loads(in_serving_environment(tmp_path, PROGRAM.with_name("quick_messages.py")))
    assert {name for name, is_quick in quick.items() if is_quick} == {"raw", "raw with meta", "tensor", "tftensor"}
    assert requests.pop("call") == [200, "12"]
    assert set(map(tuple, requests.values())) == {(415,)}
