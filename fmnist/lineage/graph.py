"""The chain as a graph: stations, what was made from what, and the two ways to walk it.  Knows no platform."""

from __future__ import annotations

import graphlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_COMMIT = re.compile(r"((?:[\w-]+/)?[\w-]+)@([0-9a-f]{32})")


class Kind(StrEnum):
    """The stations of the chain, in its order."""

    COMMIT = "commit"
    JOB = "pipeline job"
    EXPERIMENT = "experiment"
    CHECKPOINT = "checkpoint"
    VERSION = "model version"
    IMAGE = "image"
    DEPLOYMENT = "deployment"
    ANSWER = "prediction"


class State(StrEnum):
    """What a station says of itself; OPEN is not yet decided, UNKNOWN could not be read."""

    GOOD = "good"
    BAD = "bad"
    OPEN = "open"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Unknown:
    """Stands where a station does not say something, with the reason."""

    reason: str

    def __str__(self) -> str:
        return f"unknown: {self.reason}"


@dataclass(frozen=True, order=True)
class Id:
    """What a station is called on its platform: whole, and unique within its kind."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Node:
    """One station.  `title`, `short` and `summary` fit into a picture, `facts` into a table; `details` is the rest."""

    id: Id
    title: str
    short: str = ""
    summary: str = ""
    state: State = State.GOOD
    facts: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


def missing(id_: Id, reason: str, title: str | None = None, short: str = "") -> Node:
    """A station that something names but that could not be read."""
    return Node(id_, title or id_.name, short, reason, State.UNKNOWN, {"unknown": Unknown(reason)})


class Graph:
    """Stations and the edges from what was used to what was made of it; an edge says how it was used.

    `problems` names the platforms that could not be read, with the reason: there may be more than the graph shows.
    """

    def __init__(self) -> None:
        self.nodes: dict[Id, Node] = {}
        self.edges: dict[tuple[Id, Id], str] = {}
        self.problems: dict[str, str] = {}

    def __contains__(self, id_: Id) -> bool:
        return id_ in self.nodes

    def add(self, node: Node) -> None:
        """Add a station; what was read replaces what could not be."""
        if node.state is not State.UNKNOWN or node.id not in self.nodes:
            self.nodes[node.id] = node

    def connect(self, source: Id, target: Id, label: str = "") -> None:
        """Say that `target` was made from `source`; both may be added later."""
        self.edges.setdefault((source, target), label)

    def upstream(self, starts: Iterable[Id]) -> set[Id]:
        """Everything that the starts were made from; without the starts unless one was made from another."""
        return self._reach(starts, ((target, source) for source, target in self.edges))

    def downstream(self, starts: Iterable[Id]) -> set[Id]:
        """Everything that was made from the starts."""
        return self._reach(starts, self.edges)

    def part(self, ids: set[Id]) -> Graph:
        """The stations of `ids` and the edges between them."""
        part = Graph()
        part.nodes = {id_: node for id_, node in self.nodes.items() if id_ in ids}
        part.edges = {ends: label for ends, label in self.edges.items() if part.nodes.keys() >= set(ends)}
        part.problems = self.problems
        return part

    def cone(self, starts: Iterable[Id]) -> Graph:
        """The chain through the starts: what they were made from, and what was made from them."""
        starts = set(starts)
        return self.part(starts | self.upstream(starts) | self.downstream(starts))

    def sources(self, id_: Id) -> list[Id]:
        """What the station was directly made from."""
        return [source for source, target in self.edges if target == id_]

    def layers(self) -> dict[Id, int]:
        """The length of the longest way to each station, so that every edge goes from a lower layer to a higher one.

        Raises graphlib.CycleError.
        """
        sources: dict[Id, set[Id]] = {id_: set() for id_ in self.nodes}
        for source, target in self.edges:
            sources[target].add(source)
        layers: dict[Id, int] = {}
        for id_ in graphlib.TopologicalSorter(sources).static_order():
            layers[id_] = max((layers[source] + 1 for source in sources[id_]), default=0)
        return layers

    def ordered(self) -> list[Node]:
        """The stations from the raw data on, those of one layer by kind and name."""
        layers = self.layers()
        return sorted(self.nodes.values(), key=lambda node: (layers[node.id], list(Kind).index(node.id.kind), node.id))

    @staticmethod
    def _reach(starts: Iterable[Id], edges: Iterable[tuple[Id, Id]]) -> set[Id]:
        following = defaultdict(list)
        for here, there in edges:
            following[here].append(there)
        found: set[Id] = set()
        waiting = list(starts)
        while waiting:
            new = set(following[waiting.pop()]) - found
            found |= new
            waiting += new
        return found


def references(value: Any, label: str = "") -> Iterator[tuple[str, Id]]:
    """Every commit that a document names, with the key it stood under (without `data_`).

    Its forms are `{"repo": …, "commit": …}` and the text `[project/]repo@<commit id>`.
    """
    if isinstance(value, str) and (named := _COMMIT.fullmatch(value)):
        yield label, commit_id(named[1], named[2])
    elif isinstance(value, Mapping):
        if value.get("repo") and value.get("commit"):
            yield label, commit_id(value["repo"], value["commit"])
            return
        for key, entry in value.items():
            yield from references(entry, str(key).removeprefix("data_"))
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from references(entry, label)


def commit_id(repo: str, commit: str) -> Id:
    """The station of a commit; `repo` is `[project/]repo`, without the project where that is `default`."""
    return Id(Kind.COMMIT, f"{repo.removeprefix('default/')}@{commit}")
