"""What the API server demands of an object's metadata, when it is made and when it is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from localcluster.kubernetes.errors import Cause
from localcluster.kubernetes.state import names
from localcluster.kubernetes.state.kinds import NAMESPACE, SERVICE, Kind, Object

ANNOTATIONS_LIMIT = 256 * 1024
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_FINALIZER = "name is neither a standard finalizer name nor is it fully qualified"
_RULES: dict[str, Callable[[str], list[str]]] = {NAMESPACE.name: names.label, SERVICE.name: names.service}


def faults(kind: Kind, metadata: Object, old: Object | None) -> Iterator[Cause]:
    """Everything wrong with the metadata; `old` is what is stored, if anything is."""
    yield from _name(kind, metadata)
    yield from labels("metadata.labels", metadata.get("labels"))
    yield from _annotations(metadata.get("annotations"))
    yield from _owners(metadata.get("ownerReferences"))
    for index, name in enumerate(metadata.get("finalizers") or []):
        path = f"metadata.finalizers[{index}]"
        yield from (Cause.invalid(path, name, fault) for fault in names.qualified(name))
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            yield Cause.invalid(path, name, _FINALIZER)
    if old and old.get("deletionTimestamp"):
        added = [name for name in metadata.get("finalizers") or [] if name not in (old.get("finalizers") or [])]
        if added:
            shown = ", ".join(f'"{name}"' for name in added)
            text = "no new finalizers can be added if the object is being deleted, found new finalizers "
            yield Cause("metadata.finalizers", f"Forbidden: {text}[]string{{{shown}}}")


def labels(path: str, found: Object | None) -> Iterator[Cause]:
    """Everything wrong with the labels at a path."""
    for key, value in (found or {}).items():
        yield from (Cause.invalid(path, key, fault) for fault in names.qualified(key))
        yield from (Cause.invalid(path, value, fault) for fault in names.label_value(value))


def required(path: str, name: str, rule: Callable[[str], list[str]]) -> Iterator[Cause]:
    """Everything wrong with a name that has to be there."""
    if name:
        yield from (Cause.invalid(path, name, fault) for fault in rule(name))
    else:
        yield Cause(path, "Required value")


def _name(kind: Kind, metadata: Object) -> Iterator[Cause]:
    name = metadata.get("name") or ""
    if not name:
        yield Cause("metadata.name", "Required value: name or generateName is required")
        return
    rule = _RULES.get(kind.name, names.subdomain)
    yield from (Cause.invalid("metadata.name", name, fault) for fault in rule(name))


def _annotations(annotations: Object | None) -> Iterator[Cause]:
    path = "metadata.annotations"
    for key in annotations or {}:
        yield from (Cause.invalid(path, key, fault) for fault in names.qualified(key.lower()))
    if sum(len(key.encode()) + len(value.encode()) for key, value in (annotations or {}).items()) > ANNOTATIONS_LIMIT:
        yield Cause(path, f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes")


def _owners(owners: list[Object] | None) -> Iterator[Cause]:
    path = "metadata.ownerReferences"
    for owner in owners or []:
        texts = {"apiVersion": "version", "kind": "kind", "name": "name", "uid": "uid"}
        for field, word in texts.items():
            if not owner.get(field):
                yield Cause.invalid(f"{path}.{field}", "", f"{word} must not be empty")
