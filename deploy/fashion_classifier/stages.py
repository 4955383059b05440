"""Calls that pause between their stages, so that those which have come together take each stage together.

A call is a generator: it yields where a stage ends, and returns its result.  In step, the forward passes of all calls
follow each other, then the outlier scores, and so on: a stage's code and arrays are in the processor's caches then,
which a prediction alone fetches anew for each of its stages.  Each call still does its own arithmetic, so that its
result does not depend on what came with it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

Result = TypeVar("Result")
Failure = TypeVar("Failure", bound=Exception)
Stages = Generator[None, None, Result]


def alone(call: Stages[Result]) -> Result:
    """The result of one call.  Raises what the call raises."""
    try:
        while True:
            next(call)
    except StopIteration as end:
        result: Result = end.value
        return result


def in_step(calls: Sequence[Stages[Result]], failure: type[Failure]) -> list[Result | Failure]:
    """What each call returns, in their order, or the `failure` that it raises while the others go on."""
    results: dict[int, Result | Failure] = {}
    while len(results) < len(calls):
        for number, call in enumerate(calls):
            if number not in results:
                try:
                    next(call)
                except StopIteration as end:
                    results[number] = end.value
                except failure as error:
                    results[number] = error
    return [results[number] for number in range(len(calls))]
