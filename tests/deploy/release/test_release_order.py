"""The order of a release's phases, and what follows from a refusal in each; nothing is deployed."""

from __future__ import annotations

import io
import signal
from typing import Any

import pytest
from rich.console import Console

from deploy.release.candidate import Refused
from deploy.release.errors import DeployError, ReleaseError
from deploy.release.phases import Place
from deploy.release.release import _parser, _terminate, back, chosen_phases, run

NEW, OLD = {"reference": "i@sha256:new", "model_version": "2"}, {"reference": "i@sha256:old", "model_version": "1"}


class Recorder:
    """A release that notes what is done, and fails in one phase."""

    def __init__(
        self,
        live: dict[str, Any] | None,
        failing: str = "",
        error: BaseException | None = None,
        place: Place = Place.ABSENT,
    ) -> None:
        self.live = self.before = live
        self.place = place
        self.image, self.version = NEW, "2"
        self.console = Console(file=io.StringIO())
        self.done: list[str] = []
        self.failing, self.error = failing, error or Refused("refused in it: because\nmore")

    def _do(self, phase: str) -> None:
        self.done.append(phase)
        if phase == self.failing:
            raise self.error

    def compare(self) -> None:
        self._do("compare")

    def shadow(self) -> None:
        self._do("shadow")

    def canary(self, weight: int) -> None:
        self._do(f"canary {weight}")

    def promote(self) -> None:
        self._do("promote")

    def note(self) -> None:
        self._do("note")

    def back(self, reason: str) -> None:
        self._do(f"back: {reason}")

    def report(self, outcome: str) -> None:
        self.done.append(f"report: {outcome}")


def ran(recorder: Any) -> list[str]:
    run(recorder, [10, 50])
    done: list[str] = recorder.done
    return done


def test_a_version_goes_through_every_phase() -> None:
    assert ran(Recorder(OLD)) == [
        "shadow",
        "compare",
        "canary 10",
        "canary 50",
        "promote",
        "note",
        "report: version 2 is live",
    ]


def test_what_is_live_already_is_only_finished() -> None:
    assert ran(Recorder(NEW)) == ["promote", "note"]


@pytest.mark.parametrize("phase", ["shadow", "compare", "canary 10", "canary 50", "promote"])
@pytest.mark.parametrize("error", [Refused("r"), DeployError("r"), ValueError("r")], ids=["refused", "broken", "bug"])
def test_a_failure_in_any_phase_brings_back_what_was_live(phase: str, error: Exception) -> None:
    recorder: Any = Recorder(OLD, phase, error)
    with pytest.raises(type(error)):
        run(recorder, [10, 50])
    assert recorder.done[-3:] == [phase, "back: r", "report: version 2 was not released; version 1 is live"]


def test_a_refused_first_version_leaves_nothing() -> None:
    recorder: Any = Recorder(None, "compare")
    with pytest.raises(Refused):
        run(recorder, [10])
    assert recorder.done[2:] == [
        "back: refused in it: because",
        "report: version 2 was not released; nothing is deployed, as before",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_stopped_release_brings_back_what_was_live(error: BaseException) -> None:
    recorder: Any = Recorder(OLD, "canary 50", error)
    with pytest.raises(type(error)):
        run(recorder, [10, 50])
    assert recorder.done[-2:] == ["back: it was stopped", "report: version 2 was not released; version 1 is live"]


def test_a_promotion_that_cannot_be_noted_stays() -> None:
    recorder: Any = Recorder(OLD, "note", DeployError("Conflict"))
    with pytest.raises(DeployError, match="Conflict"):
        run(recorder, [10])
    assert recorder.done[-2:] == ["note", "report: version 2 is live"]


def test_a_signal_to_end_is_an_exception_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as stopped:
            _terminate(signal.SIGTERM, None)
        assert stopped.value.code == 143
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_phase_alone_says_where_the_version_stands() -> None:
    recorder: Any = Recorder(OLD, place=Place.SHADOW)
    run(recorder, [10], ["compare"])
    assert recorder.done == ["compare", "report: version 2 may go on to its canary"]


@pytest.mark.parametrize(
    ("phase", "place"), [("compare", Place.CANARY), ("canary", Place.ABSENT), ("promote", Place.SHADOW)]
)
def test_a_phase_out_of_turn_changes_nothing(phase: str, place: Place) -> None:
    recorder: Any = Recorder(OLD, place=place)
    with pytest.raises(ReleaseError, match=f"not on the cluster as {phase} needs it .{place}."):
        run(recorder, [10], [phase])
    assert recorder.done == []


def test_what_is_live_already_needs_no_phase() -> None:
    recorder: Any = Recorder(NEW, place=Place.MAIN)
    run(recorder, [10], ["canary"])
    assert recorder.done == []


@pytest.mark.parametrize("place", [Place.SHADOW, Place.CANARY])
def test_a_version_on_its_way_is_given_up(place: Place) -> None:
    recorder: Any = Recorder(OLD, place=place)
    back(recorder)
    assert recorder.done == ["back: it was given up", "report: version 2 was not released; version 1 is live"]


@pytest.mark.parametrize(("live", "place"), [(NEW, Place.MAIN), (OLD, Place.ABSENT)], ids=["live", "absent"])
def test_nothing_else_is_given_up(live: dict[str, Any], place: Place) -> None:
    recorder: Any = Recorder(live, place=place)
    back(recorder)
    assert recorder.done == []


def test_a_version_that_cannot_be_given_up_is_an_error() -> None:
    recorder: Any = Recorder(OLD, "back: it was given up", DeployError("no connection"), Place.CANARY)
    with pytest.raises(DeployError, match="no connection"):
        back(recorder)
    assert "Going back failed" in recorder.done[-1]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("", ["shadow", "compare", "canary", "promote"]),
        ("shadow", ["shadow"]),
        ("compare canary", ["compare", "canary"]),
        ("back", ["back"]),
    ],
)
def test_the_command_line_names_phases_that_follow_each_other(line: str, wanted: list[str]) -> None:
    assert chosen_phases(_parser().parse_args(line.split()).phases) == wanted


@pytest.mark.parametrize("line", ["hadow", "shadow canary", "canary compare", "shadow back", "promote promote"])
def test_other_phases_are_refused(line: str) -> None:
    with pytest.raises(ReleaseError, match="is not a part of 'shadow compare canary promote', nor back alone"):
        chosen_phases(_parser().parse_args(line.split()).phases)
