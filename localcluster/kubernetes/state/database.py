"""The objects in SQLite: one row each, one counter for all versions, and a history that watches replay.

A write is one transaction that changes the object and appends to the history; both survive kill -9 and a power cut.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.kubernetes.errors import ApiError, Expired, NotFound
from localcluster.kubernetes.state.kinds import Kind, Object

HISTORY = 2000
"""How many changes a watch can reach back."""


@dataclass(frozen=True)
class Change:
    """One entry of the history; `type` is ADDED, MODIFIED or DELETED, `before` what the object was."""

    type: str
    item: Object
    before: Object | None = None


class Database:
    """All objects of one cluster; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        """To be held from a read to the write that rests on it."""
        self._listeners: list[Callable[[], None]] = []
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.executescript(
            """
            PRAGMA journal_mode = WAL;
            PRAGMA synchronous = FULL;
            CREATE TABLE IF NOT EXISTS objects (
                resource TEXT, namespace TEXT, name TEXT, body TEXT, PRIMARY KEY (resource, namespace, name));
            CREATE TABLE IF NOT EXISTS history (
                version INTEGER PRIMARY KEY AUTOINCREMENT, resource TEXT, namespace TEXT, type TEXT, body TEXT,
                before TEXT);
            """
        )
        columns = {row[1] for row in self._connection.execute("PRAGMA table_info(history)")}
        if "before" not in columns:  # a database that an earlier version made
            self._connection.execute("ALTER TABLE history ADD COLUMN before TEXT")
            self._connection.execute("UPDATE history SET before = body WHERE type != 'ADDED'")

    def close(self) -> None:
        """Close the database; no other method may be called afterwards."""
        self._connection.close()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change, from the changing thread."""
        self._listeners.append(listener)

    def version(self) -> int:
        """The newest resourceVersion given out."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'history'").fetchone()
        return int(row[0]) if row else 0

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """The object; raises NotFound."""
        found = self.find(kind, namespace, name)
        if found is None:
            raise NotFound(kind.resource, name)
        return found

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        with self.lock:
            row = self._connection.execute(
                "SELECT body FROM objects WHERE resource = ? AND namespace = ? AND name = ?",
                (kind.resource, namespace if kind.namespaced else "", name),
            ).fetchone()
        return json.loads(row[0]) if row else None

    def all(self, kind: Kind, namespace: str = "") -> tuple[list[Object], int]:
        """All objects of the kind in the namespace ("" = every one), by name, and the version they were read at."""
        with self.lock:
            rows = self._connection.execute(
                "SELECT body FROM objects WHERE resource = ? AND (? = '' OR namespace = ?) ORDER BY namespace, name",
                (kind.resource, namespace, namespace),
            ).fetchall()
            return [json.loads(row[0]) for row in rows], self.version()

    def since(self, kind: Kind, namespace: str, version: int) -> tuple[list[Change], int]:
        """The changes after `version` and the version they lead to; raises Expired where the history is too short."""
        with self.lock:
            oldest = self._connection.execute("SELECT min(version) FROM history").fetchone()[0]
            if version and (version > self.version() or (oldest or 0) > version + 1):
                raise Expired(f"too old resource version: {version} ({oldest})")
            rows = self._connection.execute(
                "SELECT type, body, coalesce(before, 'null') FROM history "
                "WHERE version > ? AND resource = ? AND (? = '' OR namespace = ?)",
                (version, kind.resource, namespace, namespace),
            ).fetchall()
            return [Change(type_, json.loads(body), json.loads(old)) for type_, body, old in rows], self.version()

    def write(self, kind: Kind, type_: str, item: Object) -> Object:
        """Store the object, or take it away with the type DELETED, under a new version.  Raises ApiError."""
        metadata = item["metadata"]
        namespace = metadata.get("namespace", "") if kind.namespaced else ""
        key: tuple[Any, ...] = (kind.resource, namespace, metadata["name"])
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            cursor = self._connection.execute(
                "INSERT INTO history (resource, namespace, type, before) VALUES (?, ?, ?, "
                "(SELECT body FROM objects WHERE resource = ? AND namespace = ? AND name = ?))",
                (kind.resource, namespace, type_, *key),
            )
            version = cursor.lastrowid or 0
            metadata["resourceVersion"] = str(version)
            body = json.dumps(item)
            self._connection.execute("UPDATE history SET body = ? WHERE version = ?", (body, version))
            self._connection.execute("DELETE FROM history WHERE version <= ?", (version - HISTORY,))
            if type_ == "DELETED":
                self._connection.execute("DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?", key)
            else:
                self._connection.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (*key, body))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise ApiError(f"the object store failed: {error}") from error
        for listener in self._listeners:
            listener()
        return item
