"""The specs beside this file, made ready to deploy: in the order of their inputs, with image and version.

The version is a hash of the spec, the image and the code that the spec's command imports.  It travels in the spec's
`transform.env` as PIPELINES_VERSION, so that whoever asks a pachd learns whether it runs what lies here, and changed
code makes a new version of the pipelines that use it, and of those only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
VERSION = "PIPELINES_VERSION"


@dataclass(frozen=True)
class Spec:
    """`document` is what pachd gets; `inputs` are the repos it reads."""

    name: str
    inputs: frozenset[str]
    version: str
    document: dict[str, Any]


def load(image: str | None) -> list[Spec]:
    """All specs, each after those whose output it reads; `image` becomes `transform.image`."""
    documents = [json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))]
    specs = {document["pipeline"]["name"]: _spec(document, image) for document in documents}
    graph = {name: sorted(spec.inputs & specs.keys()) for name, spec in specs.items()}
    return [specs[name] for name in TopologicalSorter(graph).static_order()]


def _spec(document: dict[str, Any], image: str | None) -> Spec:
    transform = document["transform"]
    if image:
        transform["image"] = image
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for path in code(transform["cmd"][2]):
        digest.update(path.name.encode() + path.read_bytes())
    version = digest.hexdigest()[:16]
    transform["env"] = transform.get("env", {}) | {VERSION: version}
    return Spec(document["pipeline"]["name"], frozenset(_repos(document["input"])), version, document)


def code(module: str) -> list[Path]:
    """The files of this checkout that decide what `python3 -m <module>` does."""
    finder = ModuleFinder(path=[str(FOLDER.parent)])
    finder.run_script(str(FOLDER / f"{module.rpartition('.')[2]}.py"))
    modules = [Path(path) for found in finder.modules.values() if (path := getattr(found, "__file__", None))]
    return sorted([*modules, *FOLDER.glob("templates/*"), *FOLDER.glob("profiles/*")])


def _repos(node: dict[str, Any]) -> Iterator[str]:
    if "pfs" in node:
        yield node["pfs"]["repo"]
    for kind in ("cross", "union"):
        for each in node.get(kind, []):
            yield from _repos(each)
