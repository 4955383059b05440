"""Writes output files whole or not at all, and reads arrays without trusting them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import InputRefused

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` in one step."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """JSON with an indent; NaN is refused, since it is no JSON."""
    write_bytes(path, json.dumps(document, indent=2, allow_nan=False).encode() + b"\n")


def npy(array: npt.NDArray[Any]) -> bytes:
    """The content of a .npy file in C order."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def read_npy(path: Path) -> npt.NDArray[np.uint8]:
    """A uint8 array.  Raises InputRefused for anything else."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputRefused(f"{path} cannot be read as .npy: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        raise InputRefused(f"{path} does not hold one uint8 array")
    return array


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.  Raises InputRefused for anything else."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputRefused(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputRefused(f"{path} is not a JSON object")
    return document
