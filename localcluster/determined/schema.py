"""The JSON schema of experiment configurations (config_schema.yaml): what violates it, and what it fills in."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

SCHEMA: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "config_schema.yaml").read_text())

_TYPES = jsonschema.Draft202012Validator.TYPE_CHECKER
_NUMBERS = _TYPES.redefine("number", lambda _, value: _TYPES.is_type(value, "number") and value == value)
_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=_NUMBERS)  # type: ignore[no-untyped-call]
"""NaN is a number to the library, and within all bounds."""


def problems(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    """Yield what is wrong with `value`, each with the path of the key, beginning with `where`."""
    for error in _Validator(schema).iter_errors(value):
        path = where + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path)
        yield f"{path}: {error.message}"


def drop_nulls(value: Any, schema: dict[str, Any]) -> None:
    """Remove the schema's keys that are null: they count as not given."""
    for key, part in schema.get("properties", {}).items() if isinstance(value, dict) else ():
        if key in value and value[key] is None:
            del value[key]
        drop_nulls(value.get(key), part)


def fill(value: dict[str, Any], schema: dict[str, Any]) -> None:
    """Set the defaults of a valid `value`, and make integers of whole numbers such as 1e3."""
    for key, part in schema.get("properties", {}).items():
        if key not in value and "default" in part:
            value[key] = copy.deepcopy(part["default"])
        if isinstance(value.get(key), dict):
            fill(value[key], part)
        elif part.get("type") == "integer" and isinstance(value.get(key), float):
            value[key] = int(value[key])
