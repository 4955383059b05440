"""The small files in `build/` by which one stage tells the next what it made."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmnist.errors import FmnistError

BUILD = Path(os.environ.get("BUILD_DIR") or Path(__file__).resolve().parents[1] / "build")
TRAIN = BUILD / "train.json"
MODEL = BUILD / "model.json"


def write(path: Path, values: Mapping[str, Any]) -> None:
    """Replace `path` by `values` as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(dict(values), indent=2) + "\n")
    temporary.replace(path)


def read(path: Path, made_by: str) -> dict[str, Any]:
    """The values in `path`; raises FmnistError naming the stage that makes it."""
    try:
        values: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise FmnistError(f"{path} is missing: run {made_by} first") from error
    except ValueError as error:
        raise FmnistError(f"{path} is not JSON ({error}): run {made_by} again") from error
    return values
