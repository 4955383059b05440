"""Amounts as Kubernetes writes them: 500m, 2, 1Gi, 1e3."""

from __future__ import annotations

import re
from decimal import Decimal

FORMAT = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
"""What the API server says an amount must look like."""

_AMOUNT = re.compile(r"(?P<number>[+-]?(\d+(\.\d*)?|\.\d+))(?P<unit>[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def quantity(value: object) -> Decimal:
    """The amount; raises ValueError with the API server's words."""
    match = _AMOUNT.fullmatch(str(value))
    if not match:
        raise ValueError(f"quantities must match the regular expression '{FORMAT}'")
    number, unit = Decimal(match["number"]), match["unit"] or ""
    if unit in _BINARY:
        return number * Decimal(1024) ** _BINARY[unit]
    try:
        return number.scaleb(_DECIMAL[unit] if unit in _DECIMAL else int(unit[1:] or 0))
    except ArithmeticError as error:
        raise ValueError(f"the exponent of the quantity {value} is too large") from error
