"""Where the gate looks for test images in the feedback; stages/test_feedback.py has a training that read some."""

from __future__ import annotations

from pachyderm_sdk import Client

from fmnist.test.feedback import Feedback, find
from tests.fmnist.conftest import shapes


def test_a_training_without_feedback_has_nothing_to_look_for(pachd: Client) -> None:
    images, _ = shapes(3)
    assert find(pachd, {"data_feedback": None}, images) == Feedback()
    assert find(pachd, {}, images) == Feedback(None, ())


def test_feedback_that_is_gone_is_said(pachd: Client) -> None:
    found = find(pachd, {"data_feedback": {"repo": "gone", "branch": None, "commit": "f" * 32}}, shapes(3)[0])
    assert (found.reference, found.positions) == (f"gone@{'f' * 32}", None)
    assert "gone" in found.reason
