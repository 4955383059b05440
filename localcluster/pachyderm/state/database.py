"""The SQLite file behind pachd: its schema, its transactions, and waiting for the next change.

Every write is one transaction, synced to the disk before it is acknowledged (WAL, synchronous=FULL), so that what
the caller was told survives kill -9 and a power cut.  Only one process may use the file (`Database` holds a lock).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from localcluster.errors import LocalClusterError

T = TypeVar("T")

Transaction = sqlite3.Connection
"""An open transaction: what every function of `state` takes first."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS cluster (id TEXT NOT NULL, deployment_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS projects (
  name TEXT PRIMARY KEY, description TEXT NOT NULL, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS repos (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  project TEXT NOT NULL REFERENCES projects(name), name TEXT NOT NULL, type TEXT NOT NULL,
  description TEXT NOT NULL, created INTEGER NOT NULL,
  UNIQUE (project, name, type));
CREATE TABLE IF NOT EXISTS commits (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  repo INTEGER NOT NULL REFERENCES repos(number) ON DELETE CASCADE, id TEXT NOT NULL,
  branch TEXT NOT NULL, parent INTEGER, origin INTEGER NOT NULL, description TEXT NOT NULL,
  started INTEGER NOT NULL, finished INTEGER, error TEXT NOT NULL DEFAULT '',
  size INTEGER NOT NULL DEFAULT 0, files INTEGER NOT NULL DEFAULT 0,
  complete INTEGER NOT NULL DEFAULT 0, layers INTEGER NOT NULL DEFAULT 0, changes INTEGER NOT NULL DEFAULT 0,
  UNIQUE (repo, id));
CREATE INDEX IF NOT EXISTS commits_by_id ON commits (id);
CREATE INDEX IF NOT EXISTS commits_by_parent ON commits (parent);
CREATE TABLE IF NOT EXISTS commit_provenance (
  commit_number INTEGER NOT NULL REFERENCES commits(number) ON DELETE CASCADE,
  upstream INTEGER NOT NULL REFERENCES commits(number) ON DELETE CASCADE,
  PRIMARY KEY (commit_number, upstream)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS commits_downstream ON commit_provenance (upstream);
CREATE TABLE IF NOT EXISTS branches (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  repo INTEGER NOT NULL REFERENCES repos(number) ON DELETE CASCADE, name TEXT NOT NULL,
  head INTEGER NOT NULL REFERENCES commits(number), created INTEGER NOT NULL, updated INTEGER NOT NULL,
  UNIQUE (repo, name));
CREATE INDEX IF NOT EXISTS branches_by_head ON branches (head);
CREATE TABLE IF NOT EXISTS branch_provenance (
  branch INTEGER NOT NULL REFERENCES branches(number) ON DELETE CASCADE,
  upstream INTEGER NOT NULL REFERENCES branches(number) ON DELETE CASCADE,
  PRIMARY KEY (branch, upstream)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
  commit_number INTEGER NOT NULL REFERENCES commits(number) ON DELETE CASCADE,
  path TEXT NOT NULL, pieces BLOB, size INTEGER NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY (commit_number, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pipelines (
  number INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL, name TEXT NOT NULL,
  version INTEGER NOT NULL, output_branch TEXT NOT NULL, stopped INTEGER NOT NULL, created INTEGER NOT NULL,
  UNIQUE (project, name));
CREATE TABLE IF NOT EXISTS pipeline_versions (
  pipeline INTEGER NOT NULL REFERENCES pipelines(number) ON DELETE CASCADE, version INTEGER NOT NULL,
  spec_commit TEXT NOT NULL, user_json TEXT NOT NULL, effective_json TEXT NOT NULL, salt TEXT NOT NULL,
  updated INTEGER NOT NULL, PRIMARY KEY (pipeline, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  pipeline INTEGER NOT NULL REFERENCES pipelines(number) ON DELETE CASCADE, version INTEGER NOT NULL,
  id TEXT NOT NULL, output INTEGER REFERENCES commits(number) ON DELETE SET NULL,
  state INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '', restarts INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL, started INTEGER, finished INTEGER,
  UNIQUE (pipeline, id));
CREATE INDEX IF NOT EXISTS jobs_by_id ON jobs (id);
CREATE INDEX IF NOT EXISTS jobs_by_output ON jobs (output);
CREATE INDEX IF NOT EXISTS jobs_open ON jobs (number) WHERE finished IS NULL;
CREATE TABLE IF NOT EXISTS datums (
  job INTEGER NOT NULL REFERENCES jobs(number) ON DELETE CASCADE, place INTEGER NOT NULL,
  id TEXT NOT NULL, hash BLOB NOT NULL, state INTEGER NOT NULL, inputs TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
  download_time INTEGER NOT NULL DEFAULT 0, process_time INTEGER NOT NULL DEFAULT 0,
  upload_time INTEGER NOT NULL DEFAULT 0,
  download_bytes INTEGER NOT NULL DEFAULT 0, upload_bytes INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (job, place), UNIQUE (job, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS datum_results (
  number INTEGER PRIMARY KEY, pipeline INTEGER NOT NULL REFERENCES pipelines(number) ON DELETE CASCADE,
  hash BLOB NOT NULL, UNIQUE (pipeline, hash));
CREATE TABLE IF NOT EXISTS result_entries (
  result INTEGER NOT NULL REFERENCES datum_results(number) ON DELETE CASCADE,
  path TEXT NOT NULL, pieces BLOB NOT NULL, size INTEGER NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY (result, path)) WITHOUT ROWID;
"""


class Database:
    """Connections to one SQLite file, one a thread; writers take turns."""

    def __init__(self, path: Path, on_change: Callable[[], None]) -> None:
        """Open or create the file; `on_change` is called after every change.

        Raises LocalClusterError where another process has it open.
        """
        self._on_change = on_change
        self._path = path
        self._local = threading.local()
        self._turn = threading.RLock()
        self._changed = threading.Condition()
        self._version = 0
        self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise LocalClusterError(f"another pachd uses {path}; stop it, or set LOCALCLUSTER_HOME") from None
        self._connection().executescript(SCHEMA)

    def _connection(self) -> Transaction:
        connection: Transaction | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=60)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            self._local.connection = connection
        return connection

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that sees one state of the database throughout."""
        connection = self._connection()
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that is durable when the block ends, or undone when it raises."""
        with self._turn:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        self.wake()

    def wake(self) -> None:
        """Let every `wait` look again."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()
        self._on_change()

    def wait(self, look: Callable[[Transaction], T | None], active: Callable[[], bool]) -> T | None:
        """Call `look` after every change until it answers, or return None once `active` no longer holds.

        Whoever makes `active` false calls `wake`.
        """
        while True:
            version = self._version
            if not active():
                return None
            with self.read() as tx:
                answer = look(tx)
            if answer is not None:
                return answer
            with self._changed:
                while self._version == version:
                    self._changed.wait()
