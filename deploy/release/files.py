"""Where the stages leave their results, and how: a file is either whole or absent."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD_DIR") or REPOSITORY / "build").absolute()
IMAGE_RECORD = BUILD / "image.json"
MANIFEST = BUILD / "deploy.yaml"
SAMPLE = BUILD / "sample.json"


def write(path: Path, content: bytes | str) -> None:
    """Replace `path` by `content` in one step, creating its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """The same, for a value as readable JSON."""
    write(path, json.dumps(value, indent=2) + "\n")
