"""The rules by which the cluster's objects are written: what the server sets, counts, keeps, deletes and refuses."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from pathlib import Path

from localcluster.kubernetes.clock import now
from localcluster.kubernetes.errors import AlreadyExists, Forbidden, NotFound, Unexplained, named
from localcluster.kubernetes.state.database import Database
from localcluster.kubernetes.state.deletion import DEFAULT, Deletion
from localcluster.kubernetes.state.kinds import BY_RESOURCE, NAMESPACE, POD, SELDON, Kind, Object
from localcluster.kubernetes.state.names import random_suffix
from localcluster.kubernetes.state.versions import check_versions, count_change, without_empty

_GIVEN = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
"""Metadata that the server gives an object."""
_KEPT = (*_GIVEN, "name", "namespace")
"""Metadata that an update cannot change."""

Admission = Callable[[Kind, Object, "Object | None"], None]
"""Defaults and checks an object about to be stored (its previous form, if any); raises ApiError to refuse it."""


class Store(Database):
    """The objects with the API server's rules; safe to use from several threads."""

    def __init__(self, path: Path, admission: Admission) -> None:
        super().__init__(path)
        self._admission = admission

    def create(self, kind: Kind, item: Object, *, dry_run: bool = False) -> Object:
        """Store a new object; raises AlreadyExists, NotFound (its namespace) or what the admission says."""
        item = copy.deepcopy(item)
        metadata = item["metadata"] = dict(item.get("metadata") or {})
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + random_suffix()
        item |= kind.reference
        with self.lock:
            if kind.namespaced:
                self._check_namespace(metadata["namespace"], metadata.get("name", ""), kind)
            if metadata.get("resourceVersion"):
                raise Unexplained("resourceVersion should not be set on objects to be created")
            for field in ("resourceVersion", *_GIVEN):
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
            return self.write(kind, "ADDED", item)

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
        with self.lock:
            old = self.get(kind, namespace, name)
            new = change(copy.deepcopy(old))
            check_versions(kind, old["metadata"], new.get("metadata") or {})
            if status:
                new = old | {"status": new.get("status")}
            else:
                new = _main_part(kind, old, new)
                self._admission(kind, new, old)
                count_change(kind, old, new)
            if new == old or dry_run:
                return new
            if kind is SELDON and new["metadata"]["generation"] != old["metadata"]["generation"]:
                # `kubectl wait` right after `kubectl apply` must not see the state of the spec before
                new["status"] = new.get("status", {}) | {"state": "Creating", "description": ""}
            return self.write(kind, "DELETED" if _is_released(kind, new["metadata"]) else "MODIFIED", new)

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
        self, kind: Kind, namespace: str, name: str, options: Deletion = DEFAULT, *, dry_run: bool = False
    ) -> Object:
        """Delete the object, or begin to.  Raises NotFound, and Conflict or Forbidden where `options` are not met.

        Returns the object; it carries a deletionTimestamp if it is still there.
        """
        with self.lock:
            item = self.get(kind, namespace, name)
            options.check(kind, item)
            if dry_run:
                return item
            if options.propagation == "Orphan":
                self._release_dependents(item["metadata"]["uid"])
            if options.is_immediate(kind, item):
                return self.write(kind, "DELETED", item)
            if item["metadata"].get("deletionTimestamp"):
                return item
            options.begin(kind, item)
            return self.write(kind, "MODIFIED", item)

    def remove(self, kind: Kind, item: Object) -> None:
        """Take away an object whose graceful deletion is complete."""
        with self.lock:
            if found := self.find(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]):
                self.write(kind, "DELETED", found)

    def _check_namespace(self, namespace: str, name: str, kind: Kind) -> None:
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

    def _release_dependents(self, uid: str) -> None:
        for kind in BY_RESOURCE.values():
            for item in self.all(kind)[0]:
                owners = item["metadata"].get("ownerReferences", [])
                if any(owner["uid"] == uid for owner in owners):
                    item["metadata"]["ownerReferences"] = [owner for owner in owners if owner["uid"] != uid]
                    self.write(kind, "MODIFIED", item)


def _main_part(kind: Kind, old: Object, new: Object) -> Object:
    """The new object with what only the server changes, and the status, as they were."""
    new = new | kind.reference
    before = old["metadata"]
    metadata = {key: value for key, value in (new.get("metadata") or {}).items() if key not in _KEPT}
    metadata |= {key: before[key] for key in (*_KEPT, "resourceVersion") if key in before}
    new["metadata"] = without_empty(metadata)
    if kind.status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    return new


def _is_released(kind: Kind, metadata: Object) -> bool:
    """Whether the last finalizer of an object is gone whose deletion waited for nothing else."""
    return bool(metadata.get("deletionTimestamp") and not metadata.get("finalizers") and kind not in (POD, NAMESPACE))
