"""What a spec's `transform.env` decides of a validation; everything else holds for any data set of this format.

| variable | default | meaning |
|---|---|---|
| CLASS_NAMES | required | the label list, separated by commas: label 0 is the first |
| PROFILE | none | the data set whose pixels and class means are known (`profiles/`); none: not checked |
| BALANCE_TOLERANCE | 0.25 | how far a class may be from an equal share, relative; MNIST's are off by up to 13 % |
| MIN_AGREEMENT | 0.35 | least share of images nearest to their own class's mean; chance is 1/classes |
| MAX_DUPLICATES | 0.01 | largest share of images that repeat an earlier one; published splits of this kind have none |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines import profile
from pipelines.errors import Misconfigured
from pipelines.profile import Profile

LARGEST_LABEL = 255
"""Labels are bytes."""


@dataclass(frozen=True)
class Settings:
    """The variables above, read."""

    class_names: tuple[str, ...]
    profile: Profile | None
    balance_tolerance: float
    min_agreement: float
    max_duplicates: float

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> Settings:
        """Raises Misconfigured, naming the variable."""
        names = class_names(variables)
        known = profile.load(variables["PROFILE"]) if variables.get("PROFILE") else None
        if known and len(known.means) != len(names):
            raise Misconfigured(f"PROFILE={known.name} has {len(known.means)} classes, CLASS_NAMES has {len(names)}")
        return cls(
            names,
            known,
            _share(variables, "BALANCE_TOLERANCE", 0.25),
            _share(variables, "MIN_AGREEMENT", 0.35),
            _share(variables, "MAX_DUPLICATES", 0.01),
        )


def class_names(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The label list in CLASS_NAMES.  Raises Misconfigured."""
    names = tuple(name.strip() for name in variables.get("CLASS_NAMES", "").split(","))
    if not 2 <= len(names) <= LARGEST_LABEL + 1 or "" in names or len(set(names)) < len(names):
        raise Misconfigured(
            "CLASS_NAMES must hold 2 to 256 different names, separated by commas; set it in the spec's transform.env"
        )
    return names


def _share(variables: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(variables.get(name) or default)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise Misconfigured(f"{name}={variables[name]}: not a number from 0 to 1")
    return value
