"""Checks of a hyperparameter space, with the rules of the real master's schemas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from localcluster.determined import schema
from localcluster.determined.searcher.hparams import size

_AXES: dict[str, Any] = schema.SCHEMA["definitions"]["axes"]
_MAX_POINTS = schema.SCHEMA["definitions"]["methods"]["random"]["properties"]["max_trials"]["maximum"]


def checked(space: dict[str, Any], where: str, *, grid: bool) -> list[str]:
    """Complete the axes of `space` in place and return what is wrong with them; `grid`: all of them need a count."""
    found = list(_problems(space, where, grid))
    if grid and not found and size(space) > _MAX_POINTS:
        found.append(f"{where}: the grid has {size(space)} points, more than {_MAX_POINTS}")
    return found


def _problems(space: dict[str, Any], where: str, grid: bool) -> Iterator[str]:
    for name, axis in space.items():
        path = f"{where}.{name}"
        if not isinstance(axis, dict):
            continue
        kind = axis.get("type")
        if "type" not in axis:
            yield from _problems(axis, path, grid)
        elif not isinstance(kind, str) or kind not in _AXES:
            yield f"{path}.type: {kind!r} is none of {', '.join(_AXES)}"
        else:
            yield from _axis_problems(axis, path, grid)


def _axis_problems(axis: dict[str, Any], path: str, grid: bool) -> Iterator[str]:
    rules = _AXES[axis["type"]]
    schema.drop_nulls(axis, rules)
    found = list(schema.problems(axis, rules, path))
    yield from found
    if found or "minval" not in axis:
        return
    schema.fill(axis, rules)
    ends = axis["minval"], axis["maxval"]
    if not ends[0] < ends[1]:
        yield f"{path}: minval must be less than maxval, but {ends[0]} is not less than {ends[1]}"
    elif axis["type"] == "log" and max(end * math.log(axis["base"]) for end in ends) > math.log(1e308):
        yield f"{path}: base {axis['base']} to the power of minval or maxval is too large a number"
    if grid and "count" not in axis:
        yield f"{path}.count: grid search is in use but count was not provided"
