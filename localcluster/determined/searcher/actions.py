"""What a search asks the master to do, and how a trial can end."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class Exit(enum.Enum):
    """How a trial ended, as the search sees it."""

    COMPLETED = "completed"
    ERRORED = "errored"
    CANCELED = "canceled"
    INVALID_HP = "invalid_hp"


@dataclass(frozen=True)
class Create:
    """Start trial number `index` (0, 1, 2 … in the order of creation)."""

    index: int
    hparams: dict[str, Any]
    seed: int


@dataclass(frozen=True)
class Stop:
    """Let trial number `index` checkpoint and end: the search has seen enough of it."""

    index: int


@dataclass(frozen=True)
class Shutdown:
    """The search is over; `outcome` is what becomes of the experiment."""

    outcome: Exit


Action = Create | Stop | Shutdown
