"""Deletion that takes more than one step: dependents of deleted owners, foreground deletion, namespaces."""

from __future__ import annotations

from localcluster.kubernetes.controller.faults import contained
from localcluster.kubernetes.state.deletion import FOREGROUND
from localcluster.kubernetes.state.kinds import KINDS, NAMESPACE, Kind, Object
from localcluster.kubernetes.state.store import Store


def collect(store: Store) -> None:
    """One round: delete what has lost all its owners or its namespace, finish what nothing depends on any more."""
    everything = [(kind, item) for kind in KINDS for item in store.all(kind)[0]]
    alive = {item["metadata"]["uid"] for _, item in everything}
    ending = {item["metadata"]["uid"] for _, item in everything if FOREGROUND in item["metadata"].get("finalizers", [])}
    closing = {
        i["metadata"]["name"] for k, i in everything if k is NAMESPACE and i["metadata"].get("deletionTimestamp")
    }
    for kind, item in everything:
        with contained(store, item, "garbage-collector"):
            metadata = item["metadata"]
            owners = {owner["uid"] for owner in metadata.get("ownerReferences", [])}
            orphaned = bool(owners) and (not owners & alive or owners <= ending)
            if (orphaned or metadata.get("namespace") in closing) and not metadata.get("deletionTimestamp"):
                store.delete(kind, metadata.get("namespace", ""), metadata["name"])
            if metadata["uid"] in ending and not _dependents(everything, metadata["uid"]):
                _finish(store, kind, item)
            if kind is NAMESPACE and metadata["name"] in closing and not _content(everything, metadata["name"]):
                store.remove(kind, item)


def _dependents(everything: list[tuple[Kind, Object]], uid: str) -> list[Object]:
    return [i for _, i in everything if any(owner["uid"] == uid for owner in i["metadata"].get("ownerReferences", []))]


def _content(everything: list[tuple[Kind, Object]], namespace: str) -> list[Object]:
    return [item for _, item in everything if item["metadata"].get("namespace") == namespace]


def _finish(store: Store, kind: Kind, item: Object) -> None:
    def release(old: Object) -> Object:
        old["metadata"]["finalizers"] = [name for name in old["metadata"].get("finalizers", []) if name != FOREGROUND]
        return old

    store.update(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"], release)
