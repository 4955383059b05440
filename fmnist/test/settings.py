"""What the environment says about a run of the gate."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fmnist import artifacts, registry
from fmnist.errors import FmnistError

TEST_DATA = "fmnist-test@master"

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Floors:
    """The lowest recall that each class may have: `default`, or its own."""

    default: float = 0.7
    own: Mapping[str, float] = field(default_factory=dict)

    def of(self, names: Sequence[str]) -> tuple[float, ...]:
        """The floors in the order of the classes; raises FmnistError for a floor of a class that is not there."""
        if unknown := sorted(self.own.keys() - set(names)):
            raise FmnistError(f"CLASS_FLOOR names {', '.join(unknown)}; the model's classes are {', '.join(names)}")
        return tuple(self.own.get(name, self.default) for name in names)


@dataclass(frozen=True)
class Settings:
    """One run of the gate.

    `model_version` None means the newest; `margin` is how much worse than production a version may be with confidence;
    `pipeline_commit` is GitLab's, None outside a pipeline.
    """

    model_name: str = registry.MODEL_NAME
    model_version: int | None = None
    threshold: float = 0.91
    floors: Floors = Floors()
    margin: float = 0.0
    test_data: str = TEST_DATA
    report_folder: Path = artifacts.BUILD / "report"
    pipeline_commit: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the variables that README lists under "Accuracy gate"; raises FmnistError naming the wrong one.

        A variable that is empty counts as not set.
        """
        given = {name: value for name, value in environ.items() if value}
        version, commit = given.get("MODEL_VERSION"), given.get("CI_COMMIT_SHA")
        if version is not None and not version.isdecimal():
            raise FmnistError(f"MODEL_VERSION={version!r} is not a version number; unset it to test the newest")
        if commit is not None and not _COMMIT.fullmatch(commit):
            raise FmnistError(f"CI_COMMIT_SHA={commit!r} is not the id of a git commit; unset it to use HEAD")
        return cls(
            model_name=given.get("MODEL_NAME", cls.model_name),
            model_version=int(version) if version else None,
            threshold=_share("ACCURACY_THRESHOLD", given, cls.threshold),
            floors=_floors(given.get("CLASS_FLOOR", "")),
            margin=_share("PRODUCTION_MARGIN", given, cls.margin),
            test_data=given.get("TEST_DATA", cls.test_data),
            report_folder=Path(given.get("REPORT_DIR", cls.report_folder)),
            pipeline_commit=commit,
        )


def _floors(text: str) -> Floors:
    """`0.7`, or `0.7,Shirt=0.65,Bag=0.9`: the default may be left out."""
    default, own = Floors.default, {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.rpartition("=")
        number = _number(value)
        if number is None or bool(equals) != bool(name.strip()):
            raise FmnistError(
                f"CLASS_FLOOR={text!r}: {part.strip()!r} is not a number from 0 to 1, nor a class with one; "
                "set it like 0.7 or 0.7,Shirt=0.65"
            )
        if equals:
            own[name.strip()] = number
        else:
            default = number
    return Floors(default, own)


def _share(name: str, given: Mapping[str, str], default: float) -> float:
    if name not in given:
        return default
    number = _number(given[name])
    if number is None:
        raise FmnistError(f"{name}={given[name]!r} is not a number from 0 to 1")
    return number


def _number(text: str) -> float | None:
    """A number from 0 to 1, or None."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    return number if 0 <= number <= 1 else None
