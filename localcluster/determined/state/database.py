"""The database: schema, transactions, and the few conversions that all tables share.

One connection, used by the master's event loop alone, so no statement ever waits for another writer.  No transaction
may be open across an `await`: another call's statements would become part of it.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localcluster.determined.errors import InvalidArgument, NotFound
from localcluster.errors import StateOfAnotherVersion

Row = sqlite3.Row

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE users (
  id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE COLLATE NOCASE, password TEXT NOT NULL,
  admin INTEGER NOT NULL, active INTEGER NOT NULL DEFAULT 1, display_name TEXT NOT NULL DEFAULT '',
  initial INTEGER NOT NULL DEFAULT 0, modified_at TEXT NOT NULL);
CREATE TABLE tokens (hash TEXT PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users, expires_at TEXT NOT NULL);
CREATE TABLE experiments (
  id INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL, name TEXT NOT NULL, description TEXT,
  labels TEXT NOT NULL, notes TEXT NOT NULL DEFAULT '', config TEXT NOT NULL, original_config TEXT NOT NULL,
  user_id INTEGER NOT NULL REFERENCES users, job_id TEXT NOT NULL, archived INTEGER NOT NULL DEFAULT 0,
  parent_id INTEGER, progress REAL NOT NULL DEFAULT 0, start_time TEXT NOT NULL, end_time TEXT);
CREATE TABLE model_definitions (
  experiment_id INTEGER PRIMARY KEY REFERENCES experiments ON DELETE CASCADE, archive BLOB NOT NULL);
CREATE TABLE searches (
  experiment_id INTEGER PRIMARY KEY REFERENCES experiments ON DELETE CASCADE, snapshot TEXT NOT NULL);
CREATE TABLE trials (
  id INTEGER PRIMARY KEY AUTOINCREMENT, experiment_id INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
  number INTEGER NOT NULL, task_id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, hparams TEXT NOT NULL,
  seed INTEGER NOT NULL,
  restarts INTEGER NOT NULL DEFAULT 0, runs INTEGER NOT NULL DEFAULT 0, runner_state TEXT NOT NULL DEFAULT '',
  invalid_hp INTEGER NOT NULL DEFAULT 0, not_before TEXT, metadata TEXT, warm_start TEXT,
  progress REAL NOT NULL DEFAULT 0, start_time TEXT NOT NULL, end_time TEXT, UNIQUE (experiment_id, number));
CREATE TABLE allocations (
  id TEXT PRIMARY KEY, trial_id INTEGER NOT NULL REFERENCES trials ON DELETE CASCADE, run INTEGER NOT NULL,
  token TEXT NOT NULL UNIQUE, slots INTEGER NOT NULL, state TEXT NOT NULL, resumed_steps INTEGER NOT NULL,
  preempt INTEGER NOT NULL DEFAULT 0, acknowledged INTEGER NOT NULL DEFAULT 0, ending TEXT NOT NULL DEFAULT '',
  spooled INTEGER NOT NULL DEFAULT 0, start_time TEXT NOT NULL, end_time TEXT);
CREATE INDEX allocations_of_trial ON allocations (trial_id, run);
CREATE INDEX live_allocations ON allocations (state) WHERE state != 'TERMINATED';
CREATE TABLE logs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, trial_id INTEGER NOT NULL REFERENCES trials ON DELETE CASCADE,
  allocation_id TEXT NOT NULL, timestamp TEXT NOT NULL, level TEXT NOT NULL, rank INTEGER, stdtype TEXT NOT NULL,
  source TEXT NOT NULL, log TEXT NOT NULL);
CREATE INDEX logs_of_trial ON logs (trial_id, id);
CREATE TABLE metrics (
  id INTEGER PRIMARY KEY AUTOINCREMENT, trial_id INTEGER NOT NULL REFERENCES trials ON DELETE CASCADE,
  run INTEGER NOT NULL, name TEXT NOT NULL, steps INTEGER NOT NULL, end_time TEXT NOT NULL, average TEXT NOT NULL,
  batches TEXT, archived INTEGER NOT NULL DEFAULT 0);
CREATE INDEX metrics_of_trial ON metrics (trial_id, archived, name, steps);
CREATE TABLE checkpoints (
  uuid TEXT PRIMARY KEY, trial_id INTEGER NOT NULL REFERENCES trials ON DELETE CASCADE, allocation_id TEXT NOT NULL,
  state TEXT NOT NULL, report_time TEXT NOT NULL, metadata TEXT NOT NULL, resources TEXT NOT NULL,
  steps INTEGER NOT NULL);
CREATE INDEX checkpoints_of_trial ON checkpoints (trial_id, steps);
CREATE TABLE models (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
  notes TEXT NOT NULL, metadata TEXT NOT NULL, labels TEXT NOT NULL, archived INTEGER NOT NULL DEFAULT 0,
  user_id INTEGER NOT NULL REFERENCES users, creation_time TEXT NOT NULL, last_updated_time TEXT NOT NULL);
CREATE TABLE model_versions (
  id INTEGER PRIMARY KEY AUTOINCREMENT, model_id INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
  version INTEGER NOT NULL,
  checkpoint_uuid TEXT NOT NULL REFERENCES checkpoints, name TEXT NOT NULL, comment TEXT NOT NULL, notes TEXT NOT NULL,
  metadata TEXT NOT NULL, labels TEXT NOT NULL, user_id INTEGER NOT NULL REFERENCES users,
  creation_time TEXT NOT NULL, last_updated_time TEXT NOT NULL, UNIQUE (model_id, version));
CREATE INDEX versions_of_checkpoint ON model_versions (checkpoint_uuid);
"""
_SCHEMA_VERSION = 2
"""Raised with every change of the tables."""


class Database:
    """The open database; a single statement is a transaction by itself.  Raises StateOfAnotherVersion."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            self._connection.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version={_SCHEMA_VERSION};COMMIT;")
        elif found != _SCHEMA_VERSION:
            raise StateOfAnotherVersion(
                f"{path} has tables of version {found}, this master reads version {_SCHEMA_VERSION}: use the version of"
                " the project that wrote it, move the home directory away, or delete it (make reset)"
            )

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the statements of the block one change; nested blocks belong to the outermost."""
        nested = self._connection.in_transaction
        if nested:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite itself ends it where the disk is full
                self._connection.execute("ROLLBACK")
            raise

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Run one statement with its `?` values; raises InvalidArgument for one that SQLite cannot hold."""
        try:
            return self._connection.execute(statement, values)
        except (OverflowError, UnicodeEncodeError) as error:
            raise InvalidArgument(f"a value cannot be stored: {error}") from error

    def rows(self, statement: str, *values: Any) -> list[Row]:
        """Return all rows of a query."""
        return self.execute(statement, *values).fetchall()

    def row(self, statement: str, *values: Any) -> Row | None:
        """Return the first row of a query, None where there is none."""
        found: Row | None = self.execute(statement, *values).fetchone()
        return found

    def one(self, what: str, statement: str, *values: Any) -> Row:
        """Return the first row of a query; raises NotFound, saying that `what` was not found."""
        found = self.row(statement, *values)
        if found is None:
            raise NotFound(f"{what} not found")
        return found

    def value(self, statement: str, *values: Any) -> Any:
        """Return the first column of the first row of a query, None where there is none."""
        found = self.row(statement, *values)
        return found[0] if found else None

    def many(self, statement: str, values: list[tuple[Any, ...]]) -> None:
        """Run one statement for each tuple of values, all or none."""
        with self.transaction():
            self._connection.executemany(statement, values)

    def insert(self, table: str, **columns: Any) -> int:
        """Insert one row, dictionaries and lists as JSON; return its rowid."""
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
        return self.execute(statement, *map(_stored, columns.values())).lastrowid or 0

    def update(self, table: str, key: str, value: Any, **columns: Any) -> None:
        """Set columns of the rows where column `key` is `value`, dictionaries and lists as JSON."""
        statement = f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in columns)} WHERE {key} = ?"  # noqa: S608
        self.execute(statement, *map(_stored, columns.values()), value)

    def identity(self, key: str) -> str:
        """Return the uuid kept under `key` in the database, made on first use."""
        self.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", key, str(uuid.uuid4()))
        return str(self.value("SELECT value FROM meta WHERE key = ?", key))


def order_by(sorts: Mapping[str, Any], name: str) -> Any:
    """Return what stands for the `sortBy` of a request; raises InvalidArgument where nothing does."""
    if name not in sorts:
        raise InvalidArgument(f"sortBy: {name!r} is none of {', '.join(filter(None, sorts))}")
    return sorts[name]


def _stored(value: Any) -> Any:
    return dump(value) if isinstance(value, dict | list) else value


def dump(value: Any) -> str:
    """Return compact JSON; NaN and infinities survive as Python's tokens and are shaped on the wire."""
    return json.dumps(value, separators=(",", ":"))


def now() -> str:
    """Return the time as RFC 3339 in UTC with microseconds, which also sorts as text."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
