"""Log lines of trials: appended in batches, read by filters, each with the text the CLI prints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from localcluster.determined.errors import InvalidArgument
from localcluster.determined.state.database import Database, Row, dump

PAGE = 500
"""Rows read at a time; a line is 64 kB at most."""


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

    chosen: Mapping[str, Sequence[Any]] = field(default_factory=dict)
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
    conditions, values = ["trial_id = ?"], list[Any]([trial_id])
    if past is not None:
        conditions.append("id < ?" if descending else "id > ?")
        values.append(past)
    for column, chosen in wanted.chosen.items():
        conditions.append(f"COALESCE({column}, -1) IN (SELECT value FROM json_each(?))")  # noqa: S608
        values.append(dump(chosen))
    if wanted.before:
        conditions.append("timestamp <= ?")
        values.append(wanted.before)
    if wanted.after:
        conditions.append("timestamp > ?")
        values.append(wanted.after)
    rows = db.rows(
        f"SELECT * FROM logs WHERE {' AND '.join(conditions)}"  # noqa: S608
        f" ORDER BY id {'DESC' if descending else 'ASC'} LIMIT {PAGE}",
        *values,
    )
    return [row for row in rows if wanted.matches(row["log"])], rows[-1]["id"] if rows else None
