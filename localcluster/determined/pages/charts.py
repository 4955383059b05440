"""Geometry of the charts: series of numbers in, ticks and SVG paths out; the templates draw them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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
    """One trial's values of one metric in one group, as (step, value) by step."""

    trial: int
    colour: int
    group: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Entry:
    """A trial in a rung: its metric, None where it failed, and what was decided."""

    trial: int
    metric: float | None
    decision: str


@dataclass(frozen=True)
class Rung:
    """What a rung needs, in units of the search's time metric, and who got there, the best first."""

    needed: int
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Tick:
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

    @classmethod
    def around(cls, points: Iterable[Point]) -> Axes:
        """Return axes that show all points, at least one."""
        xs, ys = zip(*points, strict=True)
        return cls(_span(xs, 0.0), _span(ys, 0.05))

    def place(self, x: float, y: float) -> Point:
        """Return the picture's coordinates of a point."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (RIGHT - LEFT), BOTTOM - up * (BOTTOM - TOP)

    @property
    def x_ticks(self) -> list[Tick]:
        """Return the marks of the horizontal axis."""
        return [Tick(self.place(value, self.y[0])[0], text) for value, text in ticks(*self.x, 6)]

    @property
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
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    bottom: int = BOTTOM


def curves(title: str, series: Sequence[Series]) -> Chart:
    """Draw series with at least one point between them over the batches done."""
    axes = Axes.around(point for each in series for point in each.points)
    lines = [_line(axes, each) for each in series if each.points]
    return Chart(title, "batches", axes.x_ticks, axes.y_ticks, lines)


def ladder(title: str, unit: str, rungs: Sequence[Rung], colours: Mapping[int, int], span: Sequence[float]) -> Chart:
    """Draw a bracket: the rungs from left to right, in each its trials from the best to the worst.

    `colours` are those of the trials, `span` values that the vertical axis must show.
    """
    axes = Axes((-0.5, len(rungs) - 0.5), _span(span, 0.05))
    ways: dict[int, list[tuple[Point, str]]] = {}
    words: dict[int, list[str]] = {}
    for place, rung in enumerate(rungs):
        for rank, entry in enumerate(rung.entries):
            metric = "no result"
            if entry.metric is not None:
                metric = f"{entry.metric:.4g}"
                x = place + 0.8 * ((rank + 0.5) / len(rung.entries) - 0.5)
                ways.setdefault(entry.trial, []).append((axes.place(x, entry.metric), entry.decision))
            words.setdefault(entry.trial, []).append(f"{metric} at {rung.needed} ({entry.decision})")
    lines = [_climb(trial, colours[trial], way, "; ".join(words[trial])) for trial, way in ways.items()]
    marks = [
        Tick(axes.place(place, 0)[0], f"{rung.needed}: {_counted(len(rung.entries))}")
        for place, rung in enumerate(rungs)
    ]
    return Chart(title, unit, marks, axes.y_ticks, lines)


def _counted(trials: int) -> str:
    return "1 trial" if trials == 1 else f"{trials} trials"


def _climb(trial: int, colour: int, way: Sequence[tuple[Point, str]], title: str) -> Line:
    marks: dict[str, str] = {}
    for (x, y), how in way:
        marks[how] = marks.get(how, "") + f"M{x:.1f} {y:.1f}{_SHAPES.get(how, _DOT)}"
    return Line(trial, colour, "climb", _path([place for place, _ in way]), marks, title)


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
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


def _span(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * margin or (abs(high) * 0.1 or 1.0) * (low == high)
    return low - room, high + room
