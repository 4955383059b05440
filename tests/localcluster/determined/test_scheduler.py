"""Who gets slots: never more than there are, in order, nobody overtaken for good, `max_slots` kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localcluster.determined.scheduler import Wanted, choose

QUEUES = st.lists(
    st.builds(
        Wanted,
        trial_id=st.integers(0, 1000),
        experiment_id=st.integers(1, 3),
        slots=st.integers(0, 4),
        max_slots=st.none() | st.integers(0, 4),
    ),
    max_size=8,
)


def _wanted(trial: int, slots: int = 1, experiment: int = 1, max_slots: int | None = None) -> Wanted:
    return Wanted(trial, experiment, slots, max_slots)


@given(QUEUES, st.integers(0, 4), st.dictionaries(st.integers(1, 3), st.integers(0, 3)))
def test_what_is_chosen_fits_and_keeps_its_order(queue: list[Wanted], free: int, used: dict[int, int]) -> None:
    chosen = choose(queue, free, used)
    assert sum(trial.slots for trial in chosen) <= free
    positions = iter(queue)
    assert all(any(trial is other for other in positions) for trial in chosen)
    held = dict(used)
    for trial in chosen:
        held[trial.experiment_id] = held.get(trial.experiment_id, 0) + trial.slots
        assert trial.max_slots is None or held[trial.experiment_id] <= trial.max_slots


def test_a_wide_trial_is_not_overtaken() -> None:
    assert choose([_wanted(1, slots=2), _wanted(2)], free=1, used={}) == []


def test_an_experiment_at_its_max_slots_lets_others_pass() -> None:
    held, other = _wanted(1, max_slots=1), _wanted(2, experiment=2)
    assert choose([held, other], free=1, used={1: 1}) == [other]


def test_a_trial_without_slots_needs_none_free() -> None:
    assert choose([_wanted(1, slots=0), _wanted(2)], free=0, used={}) == [_wanted(1, slots=0)]
