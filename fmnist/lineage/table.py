"""The chain as a table in the terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from fmnist.lineage.chain import Lineage
from fmnist.lineage.graph import Graph, Id, Node, State, Unknown

STYLES = {State.GOOD: "green", State.BAD: "red", State.OPEN: "yellow", State.UNKNOWN: "magenta"}


def table(lineage: Lineage) -> Table:
    """One row a station, from the raw data on; what was asked for is marked."""
    result = Table(show_lines=True)
    for title in ("station", "made from", "says"):
        result.add_column(title, overflow="fold")
    for node in lineage.graph.ordered():
        name = Text(f"{node.id.kind}\n{node.title} {node.short}")
        name.stylize(STYLES[node.state])
        if node.id in lineage.asked:
            name.append("\n(asked for)", style="bold")
        result.add_row(name, "\n".join(sources(lineage.graph, node.id)), "\n".join(lines(node.facts)))
    return result


def sources(graph: Graph, id_: Id) -> Iterator[str]:
    """What the station was made from, in a few words each."""
    for source in sorted(graph.sources(id_)):
        node, label = graph.nodes[source], graph.edges[source, id_]
        yield f"{node.title} {node.short}" + (f": {label}" if label else "")


def lines(facts: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Facts as indented lines `key: value`."""
    for key, value in facts.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from lines(value, indent + "  ")
        elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
            yield f"{indent}{key}:"
            for entry in value:
                first, *rest = lines(entry, indent + "    ")
                yield from (f"{indent}  - {first.strip()}", *rest)
        else:
            yield f"{indent}{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"


def document(lineage: Lineage) -> dict[str, Any]:
    """The chain as JSON-ready values; what is not known is `{"unknown": reason}`."""
    return {
        "format_version": 1,
        "asked": [_id(id_) for id_ in sorted(lineage.asked)],
        "stations": [_station(node) for node in lineage.graph.ordered()],
        "edges": [
            {"from": _id(source), "to": _id(target), "label": label}
            for (source, target), label in sorted(lineage.graph.edges.items())
        ],
        "made_from_asked": {str(kind): found for kind, found in lineage.affected().items()},
        "problems": lineage.graph.problems,
    }


def _station(node: Node) -> dict[str, Any]:
    return {**_id(node.id), "state": str(node.state), "summary": node.summary, "facts": _plain(node.facts)}


def _id(id_: Id) -> dict[str, str]:
    return {"kind": str(id_.kind), "name": id_.name}


def _plain(value: Any) -> Any:
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value
