"""xDS files: one list of resources each, replaced by a rename, which is what Envoy watches for.

Each carries a version made from its content; Envoy's `version_text` statistics tell which one it has taken.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from localcluster.files import write_atomically
from localcluster.kubernetes.envoy.translate import Resource


def write(directory: Path, name: str, *resources: Resource) -> bool:
    """Write the file if that changes it; returns whether it did."""
    path = directory / name
    text = json.dumps(resources, sort_keys=True)
    version = hashlib.sha256(text.encode()).hexdigest()[:16]
    content = json.dumps({"version_info": version, "resources": resources}, indent=1)
    if path.exists() and path.read_text() == content:
        return False
    write_atomically(path, content)
    return True


def version(directory: Path, name: str) -> str:
    """The version of the file as it is on disk."""
    return str(json.loads((directory / name).read_text())["version_info"])


def read(directory: Path, name: str) -> list[Resource]:
    """The resources of a file, none if it does not exist."""
    path = directory / name
    if not path.exists():
        return []
    found: list[Resource] = json.loads(path.read_text())["resources"]
    return found
