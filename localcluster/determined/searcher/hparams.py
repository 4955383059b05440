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
    if "type" not in space:
        return math.prod(size(part) for part in space.values())
    if space["type"] in ("const", "categorical"):
        return len(space.get("vals", [0]))
    count: int = space["count"]
    return min(count, space["maxval"] - space["minval"] + 1) if space["type"] == "int" else count


def point(space: Any, number: int) -> Any:
    """Return a point of the grid over `space`, counted from 0."""
    if not isinstance(space, dict):
        return space
    if "type" in space:
        return _value(space, number)
    chosen = {}
    for name in sorted(space, reverse=True):
        number, position = divmod(number, size(space[name]))
        chosen[name] = point(space[name], position)
    return chosen


def _value(axis: dict[str, Any], position: int) -> Any:
    """Return one of the values at equal distances, the ends included (of one, the middle)."""
    kind = axis["type"]
    if kind in ("const", "categorical"):
        return axis["val"] if kind == "const" else axis["vals"][position]
    low, high, count = axis["minval"], axis["maxval"], size(axis)
    value = (low + high) / 2 if count == 1 else low + position * (high - low) / (count - 1)
    if kind == "int":
        return int(math.copysign(math.floor(abs(value) + 0.5), value))  # Go rounds half away from zero
    return float(axis["base"]) ** value if kind == "log" else float(value)
