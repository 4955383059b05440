"""Hyperparameter spaces: sampling one point, and the grid of all points.

Facts: `int` is uniform over minval..maxval inclusive, `double` over [minval, maxval), `log` is base^uniform of the
exponents, `categorical` uniform over `vals`; a mapping without `type` is a nested space; all else is constant.
Axes are visited in sorted order, so the same seed gives the same points.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

KINDS = ("const", "int", "double", "log", "categorical")


def sample(space: Any, source: random.Random) -> Any:
    """Draw one point of `space`, using `source` once an axis."""
    if not isinstance(space, dict):
        return space
    kind = space.get("type")
    if kind is None:
        return {name: sample(space[name], source) for name in sorted(space)}
    if kind == "const":
        return space["val"]
    if kind == "int":
        return source.randint(space["minval"], space["maxval"])
    if kind == "double":
        return source.uniform(space["minval"], space["maxval"])
    if kind == "log":
        return float(space.get("base", 10)) ** source.uniform(space["minval"], space["maxval"])
    return source.choice(space["vals"])


def grid(space: Any) -> list[Any]:
    """Every point of the grid over `space`: the cartesian product of its axes, in sorted order of the names."""
    if not isinstance(space, dict):
        return [space]
    if space.get("type") is not None:
        return list(_axis(space))
    names = sorted(space)
    return [dict(zip(names, point, strict=True)) for point in itertools.product(*(grid(space[n]) for n in names))]


def _axis(space: dict[str, Any]) -> Iterator[Any]:
    kind = space["type"]
    if kind == "const":
        yield space["val"]
        return
    if kind == "categorical":
        yield from space["vals"]
        return
    low, high, count = space["minval"], space["maxval"], space["count"]
    if kind == "int":
        count = min(count, high - low + 1)
    for position in range(count):
        value = (low + high) / 2 if count == 1 else low + position * (high - low) / (count - 1)
        if kind == "int":
            yield round(value)
        elif kind == "log":
            yield float(space.get("base", 10)) ** value
        else:
            yield float(value)
