"""Geometry of the charts: series of numbers in, ticks and SVG paths out; the templates draw them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

WIDTH, HEIGHT = 480, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 456, 10, 214
"""Where the axes end in the picture."""
DOTTED = 40
"""A line of at most so many points shows each of them."""
LARGEST = 1e300
"""Values beyond this are not drawn: their differences may overflow."""
_DOT = "h0"
_SHAPES = {"stopped": "m-4-4l8 8m-8 0l8-8", "top": "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0"}
"""Marks as relative paths: a cross, a ring."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One trial's values, at least one, of one metric in one group, as (step, value) by step."""

    trial: int
    colour: int
    group: str
    points: Sequence[Point]


class Tick(NamedTuple):
    """A mark of an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """What one trial has in a chart: a path, and marks of some kinds, each kind one path; `title` says it in words."""

    trial: int
    colour: int
    look: str
    path: str
    marks: Mapping[str, str]
    title: str


@dataclass(frozen=True)
class Axes:
    """Where values lie in the picture."""

    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: float, y: float) -> Point:
        """Return the picture's coordinates of a point."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (RIGHT - LEFT), BOTTOM - up * (BOTTOM - TOP)

    def x_ticks(self) -> list[Tick]:
        """Return the marks of the horizontal axis."""
        return [Tick(self.place(value, self.y[0])[0], text) for value, text in ticks(*self.x, 6)]

    def y_ticks(self) -> list[Tick]:
        """Return the marks of the vertical axis."""
        return [Tick(self.place(self.x[0], value)[1], text) for value, text in ticks(*self.y, 7)]


@dataclass(frozen=True)
class Chart:
    """One picture."""

    title: str
    x_label: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    lines: Sequence[Line]
    width, height, left, right, bottom = WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM


def curves(title: str, series: Sequence[Series]) -> Chart:
    """Draw series over the batches done."""
    xs, ys = zip(*(point for each in series for point in each.points), strict=True)
    axes = Axes(_span(xs, 0.0), _span(ys, 0.05))
    return Chart(title, "batches", axes.x_ticks(), axes.y_ticks(), [_line(axes, each) for each in series])


def ladder(
    title: str, unit: str, rungs: Sequence[Mapping[str, Any]], colours: Mapping[int, int], span: Sequence[float]
) -> Chart:
    """Draw a bracket: the rungs (as `Search.rungs` has them) from left to right, in each its trials, the best first.

    `colours` are those of the trials, `span` values that the vertical axis must show.
    """
    axes = Axes((-0.5, len(rungs) - 0.5), _span(span, 0.05))
    ways: dict[int, list[tuple[Point, str]]] = {}
    words: dict[int, list[str]] = {}
    marks: list[Tick] = []
    for place, rung in enumerate(rungs):
        count, needed = len(rung["entries"]), rung["units_needed"]
        marks.append(Tick(axes.place(place, 0)[0], f"{needed}: {count} trial{'s' * (count != 1)}"))
        for rank, entry in enumerate(rung["entries"]):
            trial, metric, decision = entry["trial"], entry["metric"], entry["decision"]
            if metric is not None:
                x = place + 0.8 * ((rank + 0.5) / count - 0.5)
                ways.setdefault(trial, []).append((axes.place(x, metric), decision))
            shown = "no result" if metric is None else f"{metric:.4g}"
            words.setdefault(trial, []).append(f"{shown} at {needed} ({decision})")
    lines = []
    for trial, way in ways.items():
        kinds: dict[str, str] = {}
        for (x, y), decision in way:
            kinds[decision] = kinds.get(decision, "") + f"M{x:.1f} {y:.1f}{_SHAPES.get(decision, _DOT)}"
        path = _path([place for place, _ in way])
        lines.append(Line(trial, colours[trial], "climb", path, kinds, "; ".join(words[trial])))
    return Chart(title, unit, marks, axes.y_ticks(), lines)


def ticks(low: float, high: float, about: int) -> list[tuple[float, str]]:
    """Return about so many round values from `low` to `high` (low < high), with their texts."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    count = math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9) + 1
    values = [(math.ceil(low / step - 1e-9) + index) * step for index in range(min(count, 2 * about))]
    largest = max(abs(low), abs(high))
    if largest >= 1e6 or step < 1e-4:
        digits = max(0, math.floor(math.log10(largest)) - math.floor(math.log10(step)))
        return [(value, f"{value:.{min(digits, 6)}e}" if value else "0") for value in values]
    return [(value, f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}") for value in values]


def _line(axes: Axes, series: Series) -> Line:
    placed = [axes.place(*point) for point in series.points]
    marks = {"dots": "".join(f"M{x:.1f} {y:.1f}{_DOT}" for x, y in placed)} if len(placed) <= DOTTED else {}
    step, value = series.points[-1]
    title = f"{series.group}: {value:.4g} after {step:g} batches"
    look = series.group if series.group in ("training", "validation") else "other"
    return Line(series.trial, series.colour, look, _path(placed), marks, title)


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _span(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * margin or (abs(high) * 0.1 or 1.0) * (low == high)
    return low - room, high + room
