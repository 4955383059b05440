"""The grid over a hyperparameter space, in the real master's order, one point at a time.

A mapping without `type` is a nested space; what is no mapping is constant.  Axes are taken in sorted order of their
names, the last one changing fastest.
"""

from __future__ import annotations

import math
from typing import Any


def size(space: Any) -> int:
    """Return the number of points of the grid over `space`."""
    if not isinstance(space, dict):
        return 1
    return len(_values(space)) if "type" in space else math.prod(size(part) for part in space.values())


def point(space: Any, number: int) -> Any:
    """Return a point of the grid over `space`, counted from 0."""
    if not isinstance(space, dict):
        return space
    if "type" in space:
        return _values(space)[number]
    chosen = {}
    for name in sorted(space, reverse=True):
        number, position = divmod(number, size(space[name]))
        chosen[name] = point(space[name], position)
    return chosen


def _values(axis: dict[str, Any]) -> list[Any]:
    """Return `count` values at equal distances, the ends included (of one, the middle)."""
    kind = axis["type"]
    if kind in ("const", "categorical"):
        return [axis["val"]] if kind == "const" else axis["vals"]
    low, high, count = axis["minval"], axis["maxval"], axis["count"]
    if kind == "int":
        count = min(count, high - low + 1)
    values = [(low + high) / 2] if count == 1 else [low + i * (high - low) / (count - 1) for i in range(count)]
    if kind == "int":
        return [_rounded(value) for value in values]
    return [float(axis["base"]) ** value if kind == "log" else float(value) for value in values]


def _rounded(value: float) -> int:
    """Round half away from zero, as Go does."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))
