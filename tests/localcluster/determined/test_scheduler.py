"""The choice of trials for free slots."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localcluster.determined.scheduler import Wanted, choose


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
