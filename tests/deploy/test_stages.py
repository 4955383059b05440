"""Calls in stages: in step they come to what they come to alone, and take each stage together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.fashion_classifier.stages import Stages, alone, in_step

Plan = tuple[int, bool]
"""Of a call: after how many stages it ends, and whether it fails then."""


def call(number: int, plan: Plan, order: list[tuple[int, int]]) -> Stages[str]:
    stages, fails = plan
    for stage in range(stages):
        order.append((stage, number))
        yield
    if fails:
        raise ValueError(f"call {number}")
    return f"result {number}"


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=8))
def test_each_call_comes_to_what_it_comes_to_alone_and_no_stage_begins_before_the_one_before(plans: list[Plan]) -> None:
    order: list[tuple[int, int]] = []
    results = in_step([call(number, plan, order) for number, plan in enumerate(plans)], ValueError)
    assert order == sorted(order)
    for number, (plan, result) in enumerate(zip(plans, results, strict=True)):
        if isinstance(result, ValueError):
            with pytest.raises(ValueError, match=str(result)):
                alone(call(number, plan, []))
        else:
            assert alone(call(number, plan, [])) == result
