"""The hyperparameters of one trial, checked before anything expensive starts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from errors import ConfigError

OPTIMIZERS = ("muon", "adamw")

LARGEST = 28
"""Pixels by which nothing would be left of an image: its side."""


@dataclass(frozen=True)
class Hyperparameters:
    """What the experiment's `hyperparameters` section may set; const.yaml gives each its reason."""

    epochs: int
    batch_size: int
    towers: int
    width: int
    late_width: int
    depth: int
    optimizer: str
    learning_rate: float
    warmup: float
    momentum: float
    weight_decay: float
    label_smoothing: float
    shift: int
    flip: bool
    erase: int
    validation_images: int
    split_seed: int

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Hyperparameters:
        """Check names, types and ranges; raises ConfigError naming the hyperparameter."""
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - set(fields)):
            raise ConfigError(f"unknown hyperparameters {', '.join(unknown)}; known are {', '.join(fields)}")
        if missing := [name for name in fields if name not in values]:
            raise ConfigError(f"the experiment's configuration lacks hyperparameters.{missing[0]}")
        checked = cls(**{name: _value(name, kind, values[name]) for name, kind in fields.items()})
        for name in (
            "epochs",
            "batch_size",
            "towers",
            "width",
            "late_width",
            "depth",
            "validation_images",
            "learning_rate",
        ):
            if getattr(checked, name) <= 0:
                raise ConfigError(f"hyperparameters.{name}={getattr(checked, name)} must be above 0")
        if checked.batch_size % checked.towers or checked.batch_size == checked.towers:
            raise ConfigError(
                f"hyperparameters.towers={checked.towers} does not cut batch_size={checked.batch_size} into equal "
                "parts of two images or more"
            )
        if checked.optimizer not in OPTIMIZERS:
            raise ConfigError(f"hyperparameters.optimizer={checked.optimizer!r} is none of {', '.join(OPTIMIZERS)}")
        for name in ("warmup", "momentum", "label_smoothing"):
            if not 0 <= getattr(checked, name) < 1:
                raise ConfigError(f"hyperparameters.{name}={getattr(checked, name)} must be in [0, 1)")
        for name in ("weight_decay", "shift", "erase", "split_seed"):
            if getattr(checked, name) < 0:
                raise ConfigError(f"hyperparameters.{name}={getattr(checked, name)} must not be negative")
        for name in ("shift", "erase"):
            if getattr(checked, name) >= LARGEST:
                raise ConfigError(f"hyperparameters.{name}={getattr(checked, name)} must be below {LARGEST}")
        return checked


def _value(name: str, kind: Any, value: Any) -> Any:
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "str" or isinstance(value, bool) is not (kind == "bool") or not isinstance(value, (int, float)):
        raise ConfigError(f"hyperparameters.{name}={value!r} is not of type {kind}")
    if not math.isfinite(value):
        raise ConfigError(f"hyperparameters.{name}={value!r} is not a finite number")
    if kind == "int" and value != int(value):
        raise ConfigError(f"hyperparameters.{name}={value!r} is not a whole number")
    return {"int": int, "float": float, "bool": bool}[kind](value)
