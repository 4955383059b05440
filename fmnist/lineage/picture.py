"""The chain as a picture: an SVG that is readable on light and on dark, and a page that holds it with every fact."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jinja2

from fmnist.lineage import table
from fmnist.lineage.chain import Lineage
from fmnist.lineage.graph import Id, Kind, Node
from fmnist.lineage.layout import Point, place

MARGIN = 20
LINE = 16
"""Pixels from one line of text to the next."""
_HEIGHT = 4 * LINE + 12
_CHARACTER = 6.6
"""Pixels of an average character at 12 pixels, with some to spare: fonts differ."""
_NARROWEST = 112
_PLATFORMS = {
    Kind.COMMIT: "pachyderm",
    Kind.JOB: "pachyderm",
    Kind.EXPERIMENT: "determined",
    Kind.CHECKPOINT: "determined",
    Kind.VERSION: "determined",
    Kind.IMAGE: "serving",
    Kind.DEPLOYMENT: "serving",
    Kind.ANSWER: "serving",
}
_NAMES = {"pachyderm": "Pachyderm", "determined": "Determined", "serving": "Seldon on Kubernetes"}
_STATES = {"good": "as it should be", "bad": "failed", "open": "not decided yet", "unknown": "could not be read"}
_LONGEST = 30
_LEGEND = 860


def svg(lineage: Lineage) -> str:
    """The picture; a box's tooltip says all that its station says, with whole ids."""
    return _environment().get_template("lineage.svg.j2").render(**_drawn(lineage), standalone=True)


def page(lineage: Lineage) -> str:
    """A self-contained page: the picture, and below it every station in full."""
    stations = [
        {
            "anchor": _anchor(node.id),
            "node": node,
            "facts": {**node.facts, **node.details},
            "sources": list(table.sources(lineage.graph, node.id)),
        }
        for node in lineage.graph.ordered()
    ]
    asked = ", ".join(id_.name for id_ in sorted(lineage.asked))
    return _environment().get_template("lineage.html.j2").render(**_drawn(lineage), stations=stations, asked=asked)


def _drawn(lineage: Lineage) -> dict[str, Any]:
    nodes = lineage.graph.nodes
    layout = place(lineage.graph, {id_: _size(node) for id_, node in nodes.items()})
    boxes = [
        {
            "node": node,
            "x": layout.corners[node.id][0],
            "y": layout.corners[node.id][1],
            "width": layout.widths[node.id],
            "height": _HEIGHT,
            "platform": _PLATFORMS[node.id.kind],
            "asked": node.id in lineage.asked,
            "anchor": _anchor(node.id),
            "tooltip": "\n".join(
                [
                    str(node.id),
                    *(f"{key}: {line}" for key, value in node.facts.items() for line in table.shown(value, key)),
                ]
            ),
        }
        for node in lineage.graph.ordered()
    ]
    edges = [
        {
            "path": _curve(points),
            "tooltip": f"{ends[0]} → {ends[1]}",
            "label": lineage.graph.edges[ends],
            "room": points[1] if len(points) > 2 else None,
        }
        for ends, points in layout.paths.items()
    ]
    notes = [f"not everything is known: {platform}: {reason}" for platform, reason in lineage.graph.problems.items()]
    return {
        "boxes": boxes,
        "edges": edges,
        "width": round(max(layout.width, _LEGEND)) + 2 * MARGIN,
        "height": round(layout.height) + 2 * MARGIN + LINE * (2 + len(notes)),
        "bottom": round(layout.height) + 2 * LINE,
        "margin": MARGIN,
        "line": LINE,
        "longest": _LONGEST,
        "platforms": _NAMES,
        "states": _STATES,
        "notes": notes,
    }


def _size(node: Node) -> Point:
    longest = min(max(map(len, (node.title, node.short, node.summary))), _LONGEST)
    return max(_NARROWEST, longest * _CHARACTER + 26), _HEIGHT


def _curve(points: list[Point]) -> str:
    """A smooth path that is level at every point."""
    (x, y), *rest = points
    parts = [f"M{x:.1f} {y:.1f}"]
    for next_x, next_y in rest:
        half = (x + next_x) / 2
        parts.append(f"C{half:.1f} {y:.1f} {half:.1f} {next_y:.1f} {next_x:.1f} {next_y:.1f}")
        x, y = next_x, next_y
    return "".join(parts)


def _anchor(id_: Id) -> str:
    return "".join(character if character.isalnum() else "-" for character in str(id_))


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: table.printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
