"""The searches as pure state machines, and the choice of trials for free slots."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from localcluster.determined.scheduler import Wanted, choose
from localcluster.determined.searcher import Create, Exit, Search, Shutdown
from localcluster.determined.searcher.hparams import grid, sample

SPACE = {
    "rate": {"type": "log", "base": 10, "minval": -4, "maxval": -1},
    "units": {"type": "int", "minval": 8, "maxval": 64},
    "optimizer": {"type": "categorical", "vals": ["adam", "sgd"]},
    "nested": {"dropout": {"type": "double", "minval": 0.0, "maxval": 0.5}, "fixed": 3},
    "plain": [1, 2],
}


def run(search: Search, searcher: dict[str, Any], seed: int, choices: random.Random) -> tuple[list[Create], Exit, int]:
    """Play a search to its end, restoring it from its snapshot before every event.

    Returns the trials, the outcome and how many were open at once.
    """
    waiting = search.start()
    created, open_trials, most, outcome = [], list[int](), 0, None
    while waiting or open_trials:
        for action in waiting:
            if isinstance(action, Create):
                created.append(action)
                open_trials.append(action.index)
            elif isinstance(action, Shutdown):
                assert outcome is None
                outcome = action.outcome
        most = max(most, len(open_trials))
        if not open_trials:
            break
        search = Search.restored(searcher, SPACE, seed, json.loads(json.dumps(search.snapshot())))
        index = open_trials.pop(choices.randrange(len(open_trials)))
        waiting = search.exited(index, choices.choice(list(Exit)))
        assert search.exited(index, Exit.COMPLETED) == []
        assert 0.0 <= search.progress() <= 1.0
    assert outcome is not None
    return created, outcome, most


@given(st.integers(1, 12), st.integers(0, 6), st.integers(0, 2**31 - 1), st.integers())
def test_random_search(max_trials: int, concurrent: int, seed: int, luck: int) -> None:
    searcher = {"name": "random", "metric": "m", "max_trials": max_trials, "max_concurrent_trials": concurrent}
    played = [run(Search.from_config(searcher, SPACE, seed), searcher, seed, random.Random(luck)) for _ in range(2)]
    assert played[0] == played[1]
    created, _, most = played[0]
    assert [action.index for action in created] == list(range(len(created)))
    assert max_trials <= len(created) <= 2 * max_trials
    assert most <= (concurrent or max_trials)
    assert len({action.seed for action in created}) == len(created)


def test_a_single_search_takes_the_fate_of_its_trial() -> None:
    for how, outcome in [(how, how) for how in (Exit.COMPLETED, Exit.ERRORED, Exit.CANCELED)] + [
        (Exit.INVALID_HP, Exit.COMPLETED)
    ]:
        search = Search.from_config({"name": "single", "metric": "m"}, SPACE, 1)
        assert len(search.start()) == 1
        assert search.exited(0, how) == [Shutdown(outcome)]


def test_grid_gives_every_point_once_from_the_end() -> None:
    space = {
        "b": {"type": "int", "minval": 0, "maxval": 2, "count": 5},
        "a": {"type": "categorical", "vals": ["x", "y"]},
    }
    searcher = {"name": "grid", "metric": "m", "max_concurrent_trials": 2}
    search = Search.from_config(searcher, space, 7)
    actions, points = search.start(), []
    while actions:
        action = actions.pop(0)
        if isinstance(action, Create):
            points.append((action.hparams["a"], action.hparams["b"]))
            actions += search.exited(action.index, Exit.COMPLETED)
    assert points == [(a, b) for a in "yx" for b in (2, 1, 0)]


@given(st.integers())
def test_samples_lie_in_their_space(seed: int) -> None:
    point = sample(SPACE, random.Random(seed))
    assert 1e-4 <= point["rate"] <= 1e-1
    assert point["units"] in range(8, 65)
    assert point["optimizer"] in ("adam", "sgd")
    assert 0.0 <= point["nested"]["dropout"] <= 0.5
    assert (point["nested"]["fixed"], point["plain"]) == (3, [1, 2])


def test_grid_axes() -> None:
    assert grid({"type": "double", "minval": 0.0, "maxval": 1.0, "count": 3}) == [0.0, 0.5, 1.0]
    assert grid({"type": "log", "minval": -2, "maxval": 0, "count": 3}) == [0.01, 0.1, 1.0]
    assert grid({"type": "int", "minval": 0, "maxval": 10, "count": 1}) == [5]
    assert grid({}) == [{}]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4), st.one_of(st.none(), st.integers(0, 6)))),
    st.integers(0, 8),
)
def test_the_scheduler_never_gives_more_than_is_free(queue: list[tuple[int, int, int | None]], free: int) -> None:
    wanted = [Wanted(number, experiment, slots, limit) for number, (experiment, slots, limit) in enumerate(queue)]
    chosen = choose(wanted, free, {1: 1})
    assert sum(trial.slots for trial in chosen) <= free
    assert [trial.trial_id for trial in chosen] == sorted(trial.trial_id for trial in chosen)
    for experiment in (1, 2, 3):
        mine = [trial for trial in chosen if trial.experiment_id == experiment]
        assert all(
            (experiment == 1) + sum(t.slots for t in mine) <= t.max_slots for t in mine[-1:] if t.max_slots is not None
        )


def test_a_wide_trial_is_not_overtaken_but_a_limited_experiment_is() -> None:
    assert choose([Wanted(1, 1, 2, None), Wanted(2, 2, 1, None)], 1, {}) == []
    assert choose([Wanted(1, 1, 1, 1), Wanted(2, 2, 1, None)], 1, {1: 1}) == [Wanted(2, 2, 1, None)]
