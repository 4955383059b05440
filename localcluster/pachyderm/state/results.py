"""What datums wrote: kept for the jobs that skip them, and put together in the output commit of their job."""

from __future__ import annotations

from collections.abc import Iterable

from localcluster.pachyderm.state import trees
from localcluster.pachyderm.state.commits import Commit
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.datums import Datum, DatumState
from localcluster.pachyderm.state.trees import Entry, unpack


def save(tx: Transaction, pipeline: int, datum_hash: bytes, entries: Iterable[Entry]) -> None:
    """Keep the output of a datum that succeeded, in place of any earlier one."""
    tx.execute("DELETE FROM datum_results WHERE pipeline=? AND hash=?", (pipeline, datum_hash))
    number = tx.execute("INSERT INTO datum_results (pipeline, hash) VALUES (?, ?)", (pipeline, datum_hash)).lastrowid
    tx.executemany(
        "INSERT INTO result_entries VALUES (?, ?, ?, ?, ?)",
        ((number, entry.path, b"".join(entry.pieces), entry.size, entry.hash) for entry in entries),
    )


def _entries(tx: Transaction, pipeline: int, datum: Datum) -> list[Entry]:
    """The output of a datum; none where it did not succeed."""
    if datum.state not in (DatumState.SUCCESS, DatumState.SKIPPED):
        return []
    rows = tx.execute(
        "SELECT path, pieces, size, e.hash FROM result_entries e JOIN datum_results r ON r.number = e.result"
        " WHERE r.pipeline=? AND r.hash=? ORDER BY path",
        (pipeline, datum.hash),
    )
    return [Entry(path, unpack(pieces), size, hash_) for path, pieces, size, hash_ in rows]


def remove_outdated(tx: Transaction, pipeline: int, output: Commit, datums: Iterable[Datum]) -> None:
    """Let an open output commit inherit nothing but what the datums that are done wrote."""
    trees.keep(tx, output, {entry.path for datum in datums for entry in _entries(tx, pipeline, datum)})


def merge(tx: Transaction, pipeline: int, output: Commit, datums: Iterable[Datum]) -> str:
    """Put what the datums wrote into an open output commit, or nothing; why that cannot be, or ""."""
    origin: dict[str, str] = {}
    found: list[Entry] = []
    for datum in datums:
        for entry in _entries(tx, pipeline, datum):
            if other := origin.get(entry.path):
                return (
                    f"duplicate path output by different datums ({entry.path} from {other} and"
                    f" {entry.path} from {datum.id})"
                )
            origin[entry.path] = datum.id
            found.append(entry)
    trees.write(tx, output, found)
    return ""


def forget_unused(tx: Transaction, pipeline: int, job: int) -> None:
    """Drop the pipeline's results that the datums of `job`, which has succeeded, do not stand on."""
    tx.execute(
        "DELETE FROM datum_results WHERE pipeline=? AND hash NOT IN (SELECT hash FROM datums WHERE job=?)",
        (pipeline, job),
    )
