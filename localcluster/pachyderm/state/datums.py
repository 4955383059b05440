"""Datums: what a job works on, and how each went."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import IntEnum

from localcluster.pachyderm.state.database import Transaction


class DatumState(IntEnum):
    """How a datum went, numbered as pps_v2.DatumState."""

    FAILED = 1
    SUCCESS = 2
    SKIPPED = 3
    STARTING = 4
    RECOVERED = 5


@dataclass(frozen=True)
class DatumInput:
    """A file or directory of an input commit (its row number) that a datum holds; `hash` is hexadecimal."""

    name: str
    commit: int
    path: str
    is_directory: bool
    size: int
    hash: str


@dataclass(frozen=True)
class Stats:
    """What a datum, or all of a job, cost: times in microseconds, sizes in bytes."""

    download_time: int = 0
    process_time: int = 0
    upload_time: int = 0
    download_bytes: int = 0
    upload_bytes: int = 0


@dataclass(frozen=True)
class Datum:
    """A datum of a job: `id` names its inputs (64 hexadecimal digits), `hash` their contents too; `place` from 0."""

    place: int
    id: str
    hash: bytes
    inputs: tuple[DatumInput, ...]
    state: DatumState = DatumState.STARTING
    tries: int = 0
    stats: Stats = Stats()


@dataclass(frozen=True)
class Counts:
    """A job's datums by how they went."""

    processed: int
    skipped: int
    failed: int
    recovered: int
    total: int


_COLUMNS = (
    "place, id, hash, inputs, state, tries, download_time, process_time, upload_time, download_bytes, upload_bytes"
)


def _datum(row: sqlite3.Row) -> Datum:
    place, id_, hash_, inputs, state, tries, *stats = row
    files = tuple(DatumInput(**file) for file in json.loads(inputs))
    return Datum(place, id_, hash_, files, DatumState(state), tries, Stats(*stats))


def plan(tx: Transaction, job: int, found: Iterable[Datum]) -> None:
    """Make `found` the datums of a job (its row number); one that the job has already keeps its state, others go."""
    known = {datum.hash: datum for datum in of_job(tx, job)}
    tx.execute("DELETE FROM datums WHERE job=?", (job,))
    for datum in found:
        files = json.dumps([asdict(file) for file in datum.inputs])
        now = known.get(datum.hash, datum)
        tx.execute(
            f"INSERT INTO datums (job, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (job, datum.place, datum.id, datum.hash, files, now.state, now.tries, *asdict(now.stats).values()),
        )


def of_job(tx: Transaction, job: int) -> list[Datum]:
    """All datums of a job, in the order of its input."""
    return [_datum(row) for row in tx.execute(f"SELECT {_COLUMNS} FROM datums WHERE job=? ORDER BY place", (job,))]  # noqa: S608


def ids(tx: Transaction, job: int) -> set[str]:
    """The ids of all datums of a job."""
    return {row[0] for row in tx.execute("SELECT id FROM datums WHERE job=?", (job,))}


def set_state(tx: Transaction, job: int, datum: Datum, state: DatumState, tries: int, stats: Stats) -> None:
    """Record how a datum went."""
    tx.execute(
        "UPDATE datums SET state=?, tries=?, download_time=?, process_time=?, upload_time=?, download_bytes=?,"
        " upload_bytes=? WHERE job=? AND place=?",
        (state, tries, *asdict(stats).values(), job, datum.place),
    )


def succeeded(tx: Transaction, job: int) -> set[bytes]:
    """The hashes of the datums that a job has results of."""
    states = (DatumState.SUCCESS, DatumState.SKIPPED)
    rows = tx.execute(
        "SELECT d.hash FROM datums d JOIN jobs j ON j.number = d.job"
        " JOIN datum_results r ON r.pipeline = j.pipeline AND r.hash = d.hash WHERE d.job=? AND d.state IN (?, ?)",
        (job, *states),
    )
    return {row[0] for row in rows}


def summary(tx: Transaction, job: int) -> tuple[Counts, Stats]:
    """How a job's datums went, and what they cost together."""
    rows = tx.execute(
        "SELECT state, count(*), sum(download_time), sum(process_time), sum(upload_time), sum(download_bytes),"
        " sum(upload_bytes) FROM datums WHERE job=? GROUP BY state",
        (job,),
    ).fetchall()
    number = {state: count for state, count, *_ in rows}
    counts = Counts(
        processed=number.get(DatumState.SUCCESS, 0),
        skipped=number.get(DatumState.SKIPPED, 0),
        failed=number.get(DatumState.FAILED, 0),
        recovered=number.get(DatumState.RECOVERED, 0),
        total=sum(number.values()),
    )
    return counts, Stats(*(sum(column) for column in list(zip(*rows, strict=True))[2:]))
