"""The chain as a table in the terminal, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from fmnist.lineage.chain import Lineage
from fmnist.lineage.graph import Graph, Id, Node, State, Unknown

STYLES = {State.GOOD: "green", State.BAD: "red", State.OPEN: "yellow", State.UNKNOWN: "magenta"}

_HASH = re.compile(r"(?:[0-9a-f]{64}|[0-9a-f]{40})\b")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)[.\d]*(?:Z|\+00:00)")


def table(lineage: Lineage) -> Table:
    """One row a station, from the raw data on; what was asked for is marked."""
    result = Table("station", "says", box=box.SIMPLE_HEAD, show_lines=True, pad_edge=False)
    for node in lineage.graph.ordered():
        title = shortened(f"{node.title}\n{node.short}")
        name = Text.assemble(f"{node.id.kind}\n", (title, f"bold {STYLES[node.state]}"))
        if node.id in lineage.asked:
            name.append("\n(asked for)")
        says = Table.grid("key", "value", padding=(0, 2, 0, 0))
        says.columns[0].style = "dim"
        rows = [("made from", source) for source in sources(lineage.graph, node.id)]
        rows += [(key, line) for key, value in node.facts.items() for line in shown(value, key)]
        for number, (key, line) in enumerate(rows):
            repeated = number > 0 and rows[number - 1][0] == key
            says.add_row(
                "" if repeated else key, Text(shortened(line), "magenta" if line.startswith("unknown: ") else "")
            )
        result.add_row(name, says)
    return result


def affected(lineage: Lineage) -> Table:
    """Everything that was made from what was asked for."""
    result = Table("made from it", "", box=box.SIMPLE_HEAD, pad_edge=False)
    for kind, names in lineage.affected().items():
        result.add_row(kind, Text(shortened("\n".join(names))))
    return result


def sources(graph: Graph, id_: Id) -> Iterator[str]:
    """What the station was made from, in a few words each."""
    for source in sorted(graph.sources(id_)):
        node, label = graph.nodes[source], graph.edges[source, id_]
        yield f"{node.title} {node.short}" + (f", {label}" if label else "")


def shown(value: Any, key: str = "") -> Iterator[str]:
    """A fact as lines for people: sizes in units, times to the second, files one a line."""
    if key == "size":
        yield size(value)
    elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        yield from (" ".join(_file(entry)) for entry in value)
    elif isinstance(value, Mapping):
        yield ", ".join(f"{name} {text}" for name, entry in value.items() for text in shown(entry, name))
    elif isinstance(value, list):
        yield ", ".join(text for entry in value for text in shown(entry))
    elif isinstance(value, float):
        yield f"{value:.4f}"
    elif isinstance(value, str) and (moment := _TIME.fullmatch(value)):
        yield f"{moment[1]} {moment[2]} UTC"
    else:
        yield str(value)


def shortened(text: str) -> str:
    """The text with its long hashes (SHA-1, SHA-256) cut; pictures' tooltips, page and JSON have them whole."""
    return _HASH.sub(lambda found: f"{found[0][:12]}…", printable(text))


def printable(text: str) -> str:
    """The text without control characters, which people can put into names, descriptions and answers."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"


def _file(entry: Mapping[str, Any]) -> Iterator[str]:
    yield str(entry["name"]).lstrip("/")
    if "size" in entry:
        yield size(entry["size"])
    if "sha256" in entry:
        yield f"sha256 {entry['sha256']}"
    if "content" in entry:
        yield str(entry["content"])


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
    return {**_id(node.id), "state": str(node.state), "summary": node.summary, **plain({**node.facts, **node.details})}


def _id(id_: Id) -> dict[str, str]:
    return {"kind": str(id_.kind), "name": id_.name}


def plain(value: Any) -> Any:
    """A fact as JSON-ready values."""
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return value
