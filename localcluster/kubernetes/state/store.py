"""The objects, in SQLite: one row each, one counter for all versions, and a history that watches replay.

A write is one transaction that changes the object and appends to the history; both survive kill -9 and a power cut.
"""

from __future__ import annotations

import copy
import json
import secrets
import sqlite3
import string
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localcluster.kubernetes.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    Forbidden,
    NotFound,
    Unexplained,
    named,
)
from localcluster.kubernetes.state.kinds import BY_RESOURCE, NAMESPACE, POD, SELDON, Kind, Object
from localcluster.kubernetes.state.versions import check_versions, count_change, without_empty

HISTORY = 2000
"""How many changes a watch can reach back."""

FOREGROUND = "foregroundDeletion"
PROTECTED = ("default", "kube-system", "istio-system")
_SERVER_OWNED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "name",
    "namespace",
)

Admission = Callable[[Kind, Object, "Object | None"], None]
"""Defaults and checks an object about to be stored (its previous form, if any); raises ApiError to refuse it."""


@dataclass(frozen=True)
class Change:
    """One entry of the history; `type` is ADDED, MODIFIED or DELETED, `before` what the object was."""

    type: str
    item: Object
    before: Object | None = None


def now() -> str:
    """The time as Kubernetes writes it: UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def random_suffix() -> str:
    """Five letters and digits, as `generateName` appends them."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(5))


class Store:
    """All objects of one cluster; safe to use from several threads."""

    def __init__(self, path: Path, admission: Admission) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._admission = admission
        self._lock = threading.RLock()
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
        with self._lock:
            row = self._connection.execute(
                "SELECT body FROM objects WHERE resource = ? AND namespace = ? AND name = ?",
                (kind.resource, namespace if kind.namespaced else "", name),
            ).fetchone()
        return json.loads(row[0]) if row else None

    def all(self, kind: Kind, namespace: str = "") -> tuple[list[Object], int]:
        """All objects of the kind in the namespace ("" = every one), by name, and the version they were read at."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT body FROM objects WHERE resource = ? AND (? = '' OR namespace = ?) ORDER BY namespace, name",
                (kind.resource, namespace, namespace),
            ).fetchall()
            return [json.loads(row[0]) for row in rows], self.version()

    def since(self, kind: Kind, namespace: str, version: int) -> tuple[list[Change], int]:
        """The changes after `version` and the version they lead to; raises Expired where the history is too short."""
        with self._lock:
            oldest = self._connection.execute("SELECT min(version) FROM history").fetchone()[0]
            if version and (version > self.version() or (oldest or 0) > version + 1):
                raise Expired(f"too old resource version: {version} ({oldest})")
            rows = self._connection.execute(
                "SELECT type, body, coalesce(before, 'null') FROM history "
                "WHERE version > ? AND resource = ? AND (? = '' OR namespace = ?)",
                (version, kind.resource, namespace, namespace),
            ).fetchall()
            return [Change(type_, json.loads(body), json.loads(old)) for type_, body, old in rows], self.version()

    def create(self, kind: Kind, item: Object, *, dry_run: bool = False) -> Object:
        """Store a new object; raises AlreadyExists, NotFound (its namespace) or what the admission says."""
        item = copy.deepcopy(item)
        metadata = item["metadata"] = dict(item.get("metadata") or {})
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + random_suffix()
        item |= kind.reference
        with self._lock:
            if kind.namespaced:
                self._open_namespace(metadata["namespace"], metadata.get("name", ""), kind)
            if metadata.get("resourceVersion"):
                raise Unexplained("resourceVersion should not be set on objects to be created")
            for field in ("resourceVersion", *_SERVER_OWNED[:5]):
                metadata.pop(field, None)
            if kind.status:
                item.pop("status", None)
            metadata = item["metadata"] = without_empty(metadata)
            self._admission(kind, item, None)
            if self.find(kind, metadata.get("namespace", ""), metadata["name"]):
                raise AlreadyExists(kind.resource, metadata["name"])
            metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
            if kind.generations:
                metadata["generation"] = 1
            if dry_run:
                return item
            return self._write(kind, "ADDED", item)

    def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        *,
        status: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Replace the object by `change(object)`; with `status` only its status is taken, else all but its status.

        Raises NotFound, Conflict (the result carries another resourceVersion) or what the admission says.
        A change that changes nothing writes nothing.
        """
        with self._lock:
            old = self.get(kind, namespace, name)
            new = change(copy.deepcopy(old))
            metadata = new.get("metadata") or {}
            check_versions(kind, old["metadata"], metadata)
            if status:
                new = old | {"status": new.get("status")}
            else:
                new = self._main_part(kind, old, new)
                self._admission(kind, new, old)
                count_change(kind, old, new)
            if new == old:
                return old
            if dry_run:
                return new
            if kind is SELDON and new["metadata"]["generation"] != old["metadata"]["generation"]:
                # `kubectl wait` right after `kubectl apply` must not see the state of the spec before
                new["status"] = new.get("status", {}) | {"state": "Creating", "description": ""}
            if (
                new["metadata"].get("deletionTimestamp")
                and not new["metadata"].get("finalizers")
                and kind not in (POD, NAMESPACE)
            ):
                return self._write(kind, "DELETED", new)
            return self._write(kind, "MODIFIED", new)

    def set_status(self, kind: Kind, item: Object, status: Object) -> Object:
        """Write the status of an object that may be gone by now (then nothing happens)."""
        metadata = item["metadata"]
        try:
            return self.update(
                kind, metadata.get("namespace", ""), metadata["name"], lambda _: {"status": status}, status=True
            )
        except NotFound:
            return item

    def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        propagation: str = "Background",
        grace: int | None = None,
        uid: str = "",
        version: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Delete, or begin to: Pods end gracefully, Namespaces empty first, Foreground waits for the dependents.

        Returns the object; it carries a deletionTimestamp if it is still there.
        """
        with self._lock:
            item = self.get(kind, namespace, name)
            metadata = item["metadata"]
            for field, wanted, found, why in (
                ("UID", uid, metadata["uid"], "deleted and then recreated"),
                ("ResourceVersion", version, metadata["resourceVersion"], "modified"),
            ):
                if wanted and wanted != found:
                    words = f"the {field} in the precondition ({wanted}) does not match the {field} in record ({found})"
                    qualified = f"{kind.name}.{kind.group}" if kind.group else kind.name
                    raise Conflict(qualified, name, f"{words}. The object might have been {why}")
            if kind is NAMESPACE and name in PROTECTED:
                raise Forbidden(
                    f'namespaces "{name}" is forbidden: this namespace may not be deleted', **named(kind.resource, name)
                )
            if dry_run:
                return item
            if propagation == "Orphan":
                self._release_dependents(metadata["uid"])
            gradual = (kind is POD and grace != 0) or kind is NAMESPACE or propagation == "Foreground"
            if not gradual and not metadata.get("finalizers"):
                return self._write(kind, "DELETED", item)
            if metadata.get("deletionTimestamp"):
                return item
            metadata["deletionTimestamp"] = now()
            if kind is POD:
                wanted = item["spec"].get("terminationGracePeriodSeconds", 30)
                metadata["deletionGracePeriodSeconds"] = wanted if grace is None else grace
            elif kind is NAMESPACE:
                item["status"] = {"phase": "Terminating"}
            else:
                metadata["deletionGracePeriodSeconds"] = 0
            if propagation == "Foreground" and kind not in (POD, NAMESPACE):
                metadata["finalizers"] = [*metadata.get("finalizers", []), FOREGROUND]
            return self._write(kind, "MODIFIED", item)

    def remove(self, kind: Kind, item: Object) -> None:
        """Take away an object whose graceful deletion is complete."""
        with self._lock:
            if found := self.find(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]):
                self._write(kind, "DELETED", found)

    def _open_namespace(self, namespace: str, name: str, kind: Kind) -> None:
        if self.get(NAMESPACE, "", namespace)["metadata"].get("deletionTimestamp"):
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise Forbidden(
                f'{kind.resource} "{name}" is forbidden: unable to create new content in namespace {namespace} '
                "because it is being terminated",
                **named(kind.resource, name),
                causes=[cause],
            )

    def _main_part(self, kind: Kind, old: Object, new: Object) -> Object:
        new = new | kind.reference
        before = old["metadata"]
        metadata = {key: value for key, value in (new.get("metadata") or {}).items() if key not in _SERVER_OWNED}
        metadata |= {key: before[key] for key in (*_SERVER_OWNED, "resourceVersion") if key in before}
        metadata = new["metadata"] = without_empty(metadata)
        if kind.status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        return new

    def _release_dependents(self, uid: str) -> None:
        for kind in BY_RESOURCE.values():
            for item in self.all(kind)[0]:
                owners = item["metadata"].get("ownerReferences", [])
                if any(owner["uid"] == uid for owner in owners):
                    item["metadata"]["ownerReferences"] = [owner for owner in owners if owner["uid"] != uid]
                    self._write(kind, "MODIFIED", item)

    def _write(self, kind: Kind, type_: str, item: Object) -> Object:
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
