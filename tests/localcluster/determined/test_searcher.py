"""The searches as pure state machines: the real master's decisions, and what must hold whatever happens to the trials.

upstream_searches.json was recorded by driving the searcher of Determined 0.38.1 (Go) with these events.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.determined.searcher import Action, Create, Exit, Search, Shutdown, Stop
from localcluster.determined.searcher.asha import Bracket, adaptive_asha, async_halving
from localcluster.determined.searcher.draws import Draws
from localcluster.determined.searcher.hparams import point, size

RECORDED = json.loads((Path(__file__).parent / "upstream_searches.json").read_text())
SPACE: dict[str, Any] = RECORDED["space"]
ASHA = {"metric": "loss", "smaller_is_better": True, "time_metric": "batches", "max_concurrent_trials": 16}
ADAPTIVE = {**ASHA, "name": "adaptive_asha", "mode": "standard", "max_rungs": 5, "bracket_rungs": [], "divisor": 4}
REASONS = {"": Exit.COMPLETED, "ERRORED": Exit.ERRORED, "USER_CANCELED": Exit.CANCELED}


def told(search: Search, event: list[Any]) -> list[Action]:
    if event[0] == "start":
        return search.start()
    if event[0] == "exit":
        return search.exited(event[1], REASONS[event[2]])
    return search.validated(event[1], event[2])


def as_recorded(action: Action) -> list[Any]:
    if isinstance(action, Create):
        hparams = {**action.hparams, "rate": pytest.approx(action.hparams["rate"], rel=1e-14)}
        return ["create", action.index, hparams, action.seed]
    if isinstance(action, Stop):
        return ["stop", action.index]
    return ["shutdown", action.outcome is Exit.CANCELED, action.outcome is Exit.ERRORED]


@pytest.mark.parametrize("recorded", RECORDED["searches"], ids=lambda recorded: recorded["searcher"]["name"])
def test_the_real_master_decides_the_same(recorded: dict[str, Any]) -> None:
    search = Search(recorded["searcher"], SPACE, recorded["seed"])
    for step in recorded["steps"]:
        assert [as_recorded(action) for action in told(search, step["event"])] == step["actions"]
        if search.rungs():
            assert search.progress() == pytest.approx(step["progress"])


@given(st.integers(0, 2**32 - 1))
def test_draws_are_numpys(seed: int) -> None:
    space = {
        "a": {"type": "int", "minval": -3, "maxval": 2**40},
        "b": {"type": "double", "minval": -2, "maxval": 5},
        "c": {"type": "categorical", "vals": list("xyz")},
        "d": {"type": "int", "minval": 1, "maxval": 30000},
    }
    numpys, draws = np.random.RandomState(seed), Draws(space, seed)
    for index in range(3):
        expected = {
            "a": numpys.randint(-3, 2**40 + 1, dtype=np.int64),
            "b": numpys.uniform(-2, 5),
            "c": "xyz"[numpys.randint(3)],
            "d": numpys.randint(1, 30001),
        }
        numpys.randint(0, 2**32, size=4, dtype=np.uint32)
        assert draws.draw() == Create(index, expected, int(numpys.randint(0, 2**31, dtype=np.int64)))


@st.composite
def searchers(draw: st.DrawFn) -> dict[str, Any]:
    return {
        **ASHA,
        "name": draw(st.sampled_from(["single", "random", "grid", "async_halving", "adaptive_asha"])),
        "smaller_is_better": draw(st.booleans()),
        "max_trials": draw(st.integers(1, 30)),
        "max_concurrent_trials": draw(st.integers(0, 6)),
        "max_time": draw(st.integers(1, 300)),
        "divisor": draw(st.sampled_from([1.5, 2, 3, 4])),
        "mode": draw(st.sampled_from(["aggressive", "standard", "conservative"])),
        "max_rungs": draw(st.integers(1, 5)),
        "bracket_rungs": draw(st.sampled_from([[], [], [1, 3]])),
        "num_rungs": draw(st.integers(1, 4)),
    }


def planned(searcher: dict[str, Any]) -> tuple[int, int]:
    """Return how many valid trials a search has, and how many run at most at once."""
    name, limit = searcher["name"], searcher["max_concurrent_trials"]
    if name in ("single", "random", "grid"):
        count = {"single": 1, "random": searcher["max_trials"], "grid": size(SPACE)}[name]
        return count, 1 if name == "single" else limit or count
    brackets = (async_halving if name == "async_halving" else adaptive_asha)(searcher)
    return sum(b.max_trials for b in brackets), sum(min(b.concurrent, b.max_trials) for b in brackets)


class Play:
    """Plays a search with random events until it ends, checking after each what must hold."""

    def __init__(self, searcher: dict[str, Any], seed: int, luck: random.Random) -> None:
        self.searcher, self.seed, self.luck = searcher, seed, luck
        self.search, self.restored = (Search(searcher, SPACE, seed) for _ in range(2))
        self.units: dict[int, int] = {}
        self.stopped: set[int] = set()
        self.exits: list[Exit] = []
        self.outcome: Exit | None = None
        self.invalid = 0
        self.trials, self.concurrent = planned(searcher)

    def tell(self, how: str, *event: Any) -> None:
        """Tell both searches, one of which is restored from JSON before every event."""
        actions = getattr(self.search, how)(*event)
        state = json.loads(json.dumps(self.restored.snapshot()))
        self.restored = Search.restored(self.searcher, SPACE, self.seed, state) if event else self.restored
        assert getattr(self.restored, how)(*event) == actions
        assert self.outcome is None
        for action in actions:
            if isinstance(action, Create):
                assert action.index == len(self.units) + len(self.exits)
                self.units[action.index] = 0
            elif isinstance(action, Stop):
                self.stopped.add(action.index)
                self.check_stop(action.index)
            else:
                self.outcome = action.outcome
        assert len(self.units) + len(self.exits) <= self.trials + self.invalid
        assert len(self.units.keys() - self.stopped) <= self.concurrent
        assert 0 <= (self.search.progress() or 0) <= 1

    def check_stop(self, trial: int) -> None:
        """A stopped trial is at the top of its bracket, or not among the best 1/divisor of its last rung."""
        found = [
            (rung["entries"], position, rung is bracket[-1])
            for bracket in self.search.rungs()
            for rung in bracket
            for position, entry in enumerate(rung["entries"])
            if entry["trial"] == trial
        ]
        entries, position, top = found[-1]
        assert entries[position]["decision"] == ("top" if top else "stopped")
        assert top or position >= max(1, int(len(entries) / self.searcher["divisor"]))
        assert all(entries[position]["decision"] == "promoted" for entries, position, _ in found[:-1])

    def run(self) -> None:
        self.tell("start")
        while self.units:
            trial = self.luck.choice(sorted(self.units))
            if trial in self.stopped or self.units[trial] >= 400 or self.luck.random() < 0.1:
                del self.units[trial]
                how = Exit.COMPLETED if trial in self.stopped else self.luck.choice(list(Exit))
                self.exits.append(how)
                self.invalid += how is Exit.INVALID_HP
                self.tell("exited", trial, how)
                assert self.search.exited(trial, Exit.COMPLETED) == []
            else:
                self.units[trial] += self.luck.choice([1, 10, 100])
                metrics = {"loss": self.luck.choice([self.luck.random(), 0.5]), "batches": self.units[trial]}
                self.tell("validated", trial, metrics)
                assert self.search.validated(trial, metrics) == []
                assert self.restored.validated(trial, metrics) == []


@given(searchers(), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_whatever_happens_to_its_trials_a_search_counts_right_and_ends(
    searcher: dict[str, Any], seed: int, luck: random.Random
) -> None:
    play = Play(searcher, seed, luck)
    play.run()
    ends = set(play.exits)
    assert play.outcome is (ends.pop() if ends in ({Exit.ERRORED}, {Exit.CANCELED}) else Exit.COMPLETED)
    if searcher["name"] in ("random", "grid"):
        replaced = min(play.invalid, searcher["max_trials"]) if searcher["name"] == "random" else 0
        assert len(play.exits) == play.trials + replaced


@given(searchers(), st.sampled_from(["async_halving", "adaptive_asha"]), st.randoms(use_true_random=False))
def test_the_best_trial_reaches_the_top_and_every_trial_is_made(
    searcher: dict[str, Any], name: str, luck: random.Random
) -> None:
    searcher["name"] = name
    search = Search(searcher, SPACE, 3)
    losses = luck.sample(range(10_000), planned(searcher)[0])
    units, actions = dict[int, int](), search.start()
    while Shutdown(Exit.COMPLETED) not in actions:
        units |= {action.index: 0 for action in actions if isinstance(action, Create)}
        trial = luck.choice(sorted(units))
        units[trial] += 1 + searcher["max_time"] // 20
        actions = search.validated(trial, {"loss": losses[trial], "batches": units[trial]})
        if Stop(trial) in actions:
            del units[trial]
            actions += search.exited(trial, Exit.COMPLETED)
    assert search.progress() == 1
    entered = [entry["trial"] for bracket in search.rungs() for entry in bracket[0]["entries"]]
    assert sorted(entered) == list(range(len(losses)))
    for bracket in search.rungs():
        assert bracket[0]["entries"][0]["trial"] == bracket[-1]["entries"][0]["trial"]


def shape(brackets: list[Bracket]) -> list[tuple[list[int], int, int]]:
    return [(bracket.units, bracket.max_trials, bracket.concurrent) for bracket in brackets]


@pytest.mark.parametrize(
    ("changes", "brackets"),
    [
        ({"max_trials": 16, "max_time": 16}, [([1, 4, 16], 12, 8), ([4, 16], 4, 8)]),
        (
            {"max_trials": 100, "max_time": 1000},
            [([15, 62, 250, 1000], 70, 6), ([62, 250, 1000], 22, 5), ([250, 1000], 8, 5)],
        ),
        ({"max_trials": 8, "max_time": 9, "divisor": 3}, [([3, 9], 5, 8), ([9], 3, 8)]),
        ({"max_trials": 10, "max_time": 100, "max_concurrent_trials": 2}, [([25, 100], 7, 1), ([100], 3, 1)]),
        (
            {"max_trials": 10, "max_time": 1000, "max_concurrent_trials": 5, "mode": "conservative", "divisor": 3},
            [([111, 333, 1000], 7, 2), ([333, 1000], 2, 2), ([1000], 1, 1)],
        ),
        (
            {"max_trials": 50, "max_time": 64, "max_concurrent_trials": 0, "bracket_rungs": [2, 3]},
            [([4, 16, 64], 37, 13), ([16, 64], 13, 13)],
        ),
        ({"max_trials": 243, "max_time": 243, "divisor": 3, "mode": "aggressive"}, [([3, 9, 27, 81, 243], 243, 16)]),
        ({"max_trials": 2, "max_time": 1, "bracket_rungs": [1, 1, 1]}, [([1], 1, 6), ([1], 1, 5), ([1], 1, 5)]),
    ],
)
def test_worked_brackets(changes: dict[str, Any], brackets: list[tuple[list[int], int, int]]) -> None:
    assert shape(adaptive_asha({**ADAPTIVE, **changes})) == brackets


def test_worked_rungs_of_async_halving() -> None:
    searcher = {**ASHA, "name": "async_halving", "num_rungs": 4, "max_time": 10, "divisor": 2, "max_trials": 20}
    assert shape(async_halving(searcher)) == [([1, 2, 5, 10], 20, 16)]
    assert shape(async_halving({**searcher, "max_concurrent_trials": 0})) == [([1, 2, 5, 10], 20, 8)]


@given(st.integers(6, 500), st.sampled_from([1.5, 2, 3, 4]), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_brackets_share_out_the_trials(max_trials: int, divisor: float, rungs: list[int]) -> None:
    searcher = {**ADAPTIVE, "max_trials": max_trials, "max_time": 81, "divisor": divisor, "bracket_rungs": rungs}
    brackets = adaptive_asha(searcher)
    shares = [bracket.max_trials for bracket in brackets]
    assert [len(bracket.units) for bracket in brackets] == sorted(rungs, reverse=True)
    assert min(shares) >= 1
    assert max_trials <= sum(shares) < max_trials + len(rungs)


def halving(**changes: Any) -> Search:
    searcher = {
        **ASHA,
        "name": "async_halving",
        "num_rungs": 3,
        "max_time": 9,
        "divisor": 3,
        "max_trials": 5,
        **changes,
    }
    return Search(searcher, {}, 0)


def test_one_validation_climbs_several_rungs() -> None:
    search = halving()
    search.start()
    assert search.validated(0, {"loss": 0.5, "batches": 4.9}) == []
    assert search.validated(1, {"loss": 0.6, "batches": 9}) == [Stop(1)]
    assert search.validated(2, {"loss": 0.4, "batches": 9}) == [Stop(2)]
    assert search.rungs() == [
        [
            {
                "units_needed": 1,
                "entries": [
                    {"trial": 2, "metric": 0.4, "decision": "promoted"},
                    {"trial": 0, "metric": 0.5, "decision": "promoted"},
                    {"trial": 1, "metric": 0.6, "decision": "stopped"},
                ],
            },
            {
                "units_needed": 3,
                "entries": [
                    {"trial": 2, "metric": 0.4, "decision": "promoted"},
                    {"trial": 0, "metric": 0.5, "decision": "promoted"},
                ],
            },
            {"units_needed": 9, "entries": [{"trial": 2, "metric": 0.4, "decision": "top"}]},
        ]
    ]


def test_a_failed_trial_is_ranked_last_and_replaced_and_an_invalid_one_forgotten() -> None:
    search = halving(max_concurrent_trials=2, smaller_is_better=False)
    search.start()
    search.validated(0, {"loss": 0.5, "batches": 1})
    assert [type(action) for action in search.exited(1, Exit.ERRORED)] == [Create]
    assert [type(action) for action in search.exited(0, Exit.INVALID_HP)] == [Create]
    assert search.rungs()[0][0]["entries"] == [{"trial": 1, "metric": None, "decision": "failed"}]


def test_a_trial_that_ends_by_itself_is_not_replaced() -> None:
    search = halving(max_concurrent_trials=1)
    search.start()
    assert search.exited(0, Exit.COMPLETED) == [Shutdown(Exit.COMPLETED)]


def test_a_stopped_trial_that_fails_or_goes_on_counts_no_more() -> None:
    search = halving(max_concurrent_trials=1, num_rungs=1)
    search.start()
    assert [type(action) for action in search.validated(0, {"loss": 0.5, "batches": 9})] == [Stop, Create]
    assert search.validated(0, {"loss": 0.1, "batches": 10}) == []
    assert search.exited(0, Exit.ERRORED) == []
    assert [entry["metric"] for entry in search.rungs()[0][0]["entries"]] == [0.5]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (
            {"accuracy": 1.0, "batches": 1},
            "the searcher's metric 'loss' was not reported; the validation has accuracy, b",
        ),
        (
            {"loss": 1.0, "epochs": 1},
            "the searcher's metric 'batches' was not reported; the validation has epochs, loss",
        ),
        ({"loss": "NaN", "batches": 1}, "the searcher's metric 'loss' is 'NaN', not a finite number"),
        ({"loss": 10**400, "batches": 1}, "the searcher's metric 'loss' is 1000"),
        ({"loss": float("nan"), "batches": 1}, "the searcher's metric 'loss' is nan, not a finite number"),
        ({"loss": 1.0, "batches": float("inf")}, "the searcher's metric 'batches' is inf"),
        ({"loss": True, "batches": 1}, "the searcher's metric 'loss' is True"),
        ({"loss": None, "batches": 1}, "the searcher's metric 'loss' is None"),
        ({}, "was not reported; the validation has none"),
    ],
)
def test_metrics_that_cannot_be_ranked_are_named(metrics: dict[str, Any], message: str) -> None:
    search = halving()
    search.start()
    with pytest.raises(ValueError, match=message):
        search.validated(0, metrics)


def test_a_single_search_takes_the_fate_of_its_trial() -> None:
    for how, outcome in [(how, how) for how in (Exit.COMPLETED, Exit.ERRORED, Exit.CANCELED)] + [
        (Exit.INVALID_HP, Exit.COMPLETED)
    ]:
        search = Search({"name": "single", "metric": "m"}, SPACE, 1)
        assert len(search.start()) == 1
        assert search.exited(0, how) == [Shutdown(outcome)]


def grid(space: Any) -> list[Any]:
    return [point(space, number) for number in range(size(space))]


def test_grids() -> None:
    assert grid({"type": "double", "minval": 0.0, "maxval": 1.0, "count": 3}) == [0.0, 0.5, 1.0]
    assert grid({"type": "log", "base": 10, "minval": -2, "maxval": 0, "count": 3}) == [0.01, 0.1, 1.0]
    assert grid({"type": "int", "minval": 0, "maxval": 10, "count": 1}) == [5]
    assert grid({"type": "int", "minval": -3, "maxval": 0, "count": 3}) == [-3, -2, 0]
    assert grid({"b": {"type": "int", "minval": 0, "maxval": 1, "count": 9}, "a": {"c": {}, "d": [7]}}) == [
        {"a": {"c": {}, "d": [7]}, "b": 0},
        {"a": {"c": {}, "d": [7]}, "b": 1},
    ]
