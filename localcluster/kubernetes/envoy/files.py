"""xDS files: one list of resources each, replaced by a rename, which is what Envoy watches for."""

from __future__ import annotations

import json
from pathlib import Path

from localcluster.files import write_atomically
from localcluster.kubernetes.envoy.translate import Resource


def write(directory: Path, name: str, *resources: Resource) -> bool:
    """Write the file if that changes it; returns whether it did."""
    path = directory / name
    content = json.dumps({"resources": resources}, indent=1)
    if path.exists() and path.read_text() == content:
        return False
    write_atomically(path, content)
    return True


def read(directory: Path, name: str) -> list[Resource]:
    """The resources of a file, none if it does not exist."""
    path = directory / name
    if not path.exists():
        return []
    found: list[Resource] = json.loads(path.read_text())["resources"]
    return found
