"""One check of a validation: what was measured, what was demanded, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """`value` and `bound` are words with their units; `reason` says what is wrong and what to do, if it failed."""

    name: str
    value: str
    bound: str
    passed: bool
    reason: str = ""

    def document(self) -> dict[str, Any]:
        """As report.json carries it."""
        return asdict(self)


def failures(checks: Iterable[Check]) -> list[Check]:
    """Those that do not hold."""
    return [check for check in checks if not check.passed]


def table(checks: Iterable[Check]) -> str:
    """The checks as lines for a log, failed ones marked."""
    rows = [("ok" if check.passed else "FAILED", check.name, check.value, check.bound) for check in checks]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return "\n".join(
        f"{state:<{widths[0]}}  {name:<{widths[1]}}  {value:<{widths[2]}}  {bound}"
        for state, name, value, bound in rows
    )
