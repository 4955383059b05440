"""Every version of the model with its metadata and the gate's results, as the registry has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from determined.common.api import bindings

from fmnist.test.incumbent import Incumbent

T = TypeVar("T", str, bool, float)


@dataclass(frozen=True)
class Row:
    """One version; None for what neither its checkpoint nor a gate has recorded."""

    version: int
    checkpoint_uuid: str
    created: str
    data_train: str | None
    git_commit: str | None
    git_dirty: bool | None
    accuracy: float | None
    calibration_error: float | None
    passed: bool | None
    in_production: bool
    under_test: bool
    metadata: Mapping[str, Any]
    """What people and programs have written there beside the gate's results."""


def table(
    versions: list[bindings.v1ModelVersion],
    tested: int,
    results: Mapping[str, Any],
    live: Incumbent,
) -> list[Row]:
    """All versions, newest first; `results` are those of the version under test."""
    rows = []
    for version in sorted(versions, key=lambda each: -each.version):
        metadata = version.metadata or {}
        gate = results if version.version == tested else _mapping(metadata.get("gate"))
        provenance = _mapping(_mapping(version.checkpoint.metadata).get("provenance"))
        data, git = _mapping(provenance.get("data_train")), _mapping(provenance.get("git"))
        rows.append(
            Row(
                version=version.version,
                checkpoint_uuid=version.checkpoint.uuid,
                created=version.creationTime,
                data_train=f"{data['repo']}@{data['commit']}" if data.get("repo") and data.get("commit") else None,
                git_commit=_only(str, git.get("commit")),
                git_dirty=_only(bool, git.get("dirty")),
                accuracy=_only(float, gate.get("test_accuracy")),
                calibration_error=_only(float, gate.get("test_calibration_error")),
                passed=_only(bool, gate.get("passed")),
                in_production=_is_live(version, live),
                under_test=version.version == tested,
                metadata={key: value for key, value in metadata.items() if key != "gate"},
            )
        )
    return rows


def _is_live(version: bindings.v1ModelVersion, live: Incumbent) -> bool:
    return str(version.version) == live.version and live.checkpoint in (None, version.checkpoint.uuid)


def _mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping: people may have written anything into metadata."""
    return value if isinstance(value, Mapping) else {}


def _only(kind: type[T], value: Any) -> T | None:
    """The value where it is of this type, a whole number for a float too."""
    if kind is float and type(value) is int:
        value = float(value)
    return value if isinstance(value, kind) else None
