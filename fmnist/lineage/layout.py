"""Where each station stands in the picture: layers from left to right, few crossings, no edge through a box.

The layered method of K. Sugiyama et al. (1981): an edge over several layers gets a bend in each, the order within the
layers follows the mean of the neighbours, and the heights follow the neighbours as far as the order allows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from fmnist.lineage.graph import Graph, Id

Point = tuple[float, float]
_Spot = Id | tuple[Id, Id, int]
"""A station, or where an edge crosses a layer."""

ROUNDS = 9
"""Sweeps over the layers, to and fro; the last one goes from left to right, so that a chain runs level."""
GAP = 22.0
"""Pixels between neighbours of a layer."""
AISLE = 38.0
"""Pixels between layers."""
BEND = 4.0
"""Height of the place that an edge takes in a layer that it crosses."""


@dataclass(frozen=True)
class Layout:
    """Left upper corners and widths of the boxes, and the points that each edge runs through; in pixels."""

    corners: Mapping[Id, Point]
    widths: Mapping[Id, float]
    paths: Mapping[tuple[Id, Id], list[Point]]
    width: float
    height: float


def place(graph: Graph, sizes: Mapping[Id, Point]) -> Layout:
    """Lay out stations of at least the given widths and of the given heights.  Raises graphlib.CycleError."""
    layers = graph.layers()
    columns: list[list[_Spot]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for node in graph.ordered():
        columns[layers[node.id]].append(node.id)
    chains: dict[tuple[Id, Id], list[_Spot]] = {}
    for source, target in sorted(graph.edges):
        bends: list[_Spot] = [(source, target, layer) for layer in range(layers[source] + 1, layers[target])]
        for bend, layer in zip(bends, range(layers[source] + 1, layers[target]), strict=True):
            columns[layer].append(bend)
        chains[source, target] = [source, *bends, target]
    heights: dict[_Spot, float] = {spot: BEND for column in columns for spot in column}
    heights |= {id_: height for id_, (_, height) in sizes.items()}
    middles = _middles(columns, chains, heights)
    widths = [max((sizes[spot][0] for spot in column if isinstance(spot, Id)), default=0.0) for column in columns]
    lefts = [sum(widths[:number]) + AISLE * number for number in range(len(columns))]
    top = min((middles[spot] - heights[spot] / 2 for spot in middles), default=0.0)
    corners = {id_: (lefts[layer], middles[id_] - heights[id_] / 2 - top) for id_, layer in layers.items()}
    paths = {}
    for (source, target), chain in chains.items():
        across = [
            (left + side, middles[spot] - top)
            for layer, spot in enumerate(chain, layers[source])
            for left, side in ((lefts[layer], 0.0), (lefts[layer], widths[layer]))
        ]
        paths[source, target] = across[1:-1]
    bottom = max((middles[spot] + heights[spot] / 2 for spot in middles), default=0.0)
    columns_of = {id_: widths[layer] for id_, layer in layers.items()}
    return Layout(corners, columns_of, paths, lefts[-1] + widths[-1] if lefts else 0.0, bottom - top)


def _middles(
    columns: list[list[_Spot]], chains: Mapping[tuple[Id, Id], list[_Spot]], heights: Mapping[_Spot, float]
) -> dict[_Spot, float]:
    """The height of each spot's middle; spots of a column never overlap."""
    before, after = defaultdict(list), defaultdict(list)
    for chain in chains.values():
        for left, right in pairwise(chain):
            before[right].append(left)
            after[left].append(right)
    middles: dict[_Spot, float] = {}
    for column in columns:
        _stack(column, {spot: float(number) for number, spot in enumerate(column)}, heights, middles)
    for number in range(ROUNDS):
        forward = number % 2 == 0
        neighbours = before if forward else after
        for column in columns if forward else reversed(columns):
            _stack(column, {spot: _mean(neighbours[spot] or [spot], middles) for spot in column}, heights, middles)
    return middles


def _mean(spots: list[_Spot], middles: Mapping[_Spot, float]) -> float:
    """The mean height of the stations among the spots, so that these stand in line; of bends only if there are none."""
    counted = [spot for spot in spots if isinstance(spot, Id)] or spots
    return sum(middles[spot] for spot in counted) / len(counted)


def _stack(
    column: list[_Spot], wanted: Mapping[_Spot, float], heights: Mapping[_Spot, float], middles: dict[_Spot, float]
) -> None:
    """Put a column's spots where they want to be, in that order, moved apart evenly where they would overlap."""
    groups: list[tuple[list[_Spot], float, float]] = []
    for spot in sorted(column, key=lambda spot: wanted[spot]):
        members, height, middle = [spot], heights[spot], wanted[spot]
        while groups and groups[-1][2] + groups[-1][1] / 2 + GAP > middle - height / 2:
            earlier, other_height, other_middle = groups.pop()
            count = len(earlier) + len(members)
            middle = (other_middle * len(earlier) + middle * len(members)) / count
            members, height = earlier + members, other_height + GAP + height
        groups.append((members, height, middle))
    for members, height, middle in groups:
        upper = middle - height / 2
        for spot in members:
            middles[spot] = upper + heights[spot] / 2
            upper += heights[spot] + GAP
