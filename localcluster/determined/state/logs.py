"""Log lines of trials: appended in batches, read by filters, each with the text the CLI prints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from localcluster.determined.errors import InvalidArgument
from localcluster.determined.state.database import Database, Row, dump

_ONE_OF = "IN (SELECT value FROM json_each(?))"
PAGE = 500
"""Rows read, or shown by a page, at a time; a line is 64 kB at most."""


class Line(NamedTuple):
    """One line as the agent saw it; `level` is empty where the text names none."""

    timestamp: str
    log: str
    level: str = ""
    rank: int | None = None
    stdtype: str = "stdout"
    source: str = "task"


@dataclass(frozen=True)
class Filter:
    """Which lines to return; in each of the `chosen` columns they have one of the values (rank -1: without one)."""

    chosen: Mapping[str, Sequence[Any]]
    before: str = ""
    after: str = ""
    search: str = ""
    regex: bool = False

    def matches(self, text: str) -> bool:
        """Whether a text contains what is searched for, in any case, or matches the regular expression.

        Raises InvalidArgument for a broken one.
        """
        if not self.regex:
            return self.search.lower() in text.lower()
        try:
            return re.search(self.search, text) is not None
        except re.error as error:
            raise InvalidArgument(f"searchText: not a regular expression: {error}") from error


def append(db: Database, trial_id: int, allocation_id: str, lines: Sequence[Line]) -> None:
    """Store lines in their order."""
    statement = (
        "INSERT INTO logs (trial_id, allocation_id, timestamp, log, level, rank, stdtype, source)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    )
    db.many(statement, [(trial_id, allocation_id, *line) for line in lines])


def page(
    db: Database, trial_id: int, wanted: Filter, *, past: int | None, descending: bool
) -> tuple[list[Row], int | None]:
    """Return what matches among the next PAGE lines beyond the id `past`, and the last one's id, None at the end."""
    conditions: list[tuple[str, Any]] = [
        ("trial_id = ?", trial_id),
        ("id < ?" if descending else "id > ?", past),
        ("timestamp <= ?", wanted.before or None),
        ("timestamp > ?", wanted.after or None),
    ]
    conditions += [(f"COALESCE({name}, -1) {_ONE_OF}", dump(values)) for name, values in wanted.chosen.items()]
    given = [(condition, value) for condition, value in conditions if value is not None]
    rows = db.rows(
        f"SELECT * FROM logs WHERE {' AND '.join(condition for condition, _ in given)}"  # noqa: S608
        f" ORDER BY id {'DESC' if descending else 'ASC'} LIMIT {PAGE}",
        *(value for _, value in given),
    )
    return [row for row in rows if wanted.matches(row["log"])], rows[-1]["id"] if rows else None
