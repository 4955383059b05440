"""What a write may be based on, and what it counts as."""

from __future__ import annotations

from localcluster.kubernetes.errors import Conflict, Unexplained
from localcluster.kubernetes.state.kinds import DEPLOYMENT, Kind, Object

_LISTS = ("labels", "annotations", "finalizers", "ownerReferences")
_STORAGE = "StorageError: invalid object, Code: 4"


def check_versions(kind: Kind, old: Object, new: Object) -> None:
    """Refuse a write based on another version of the object, or on another object of the same name."""
    version = new.get("resourceVersion") or old["resourceVersion"]
    if not str(version).isdecimal():
        raise Unexplained(f'strconv.ParseUint: parsing "{version}": invalid syntax')
    if new.get("uid") not in (None, "", old["uid"]):
        key = "/".join(filter(None, (kind.group * kind.custom, kind.plural, old.get("namespace", ""), old["name"])))
        words = f"UID in precondition: {new['uid']}, UID in object meta: {old['uid']}"
        words = f"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: {words}"
        raise Conflict(kind.resource, old["name"], f"{_STORAGE}, Key: /registry/{key}, {words}")
    if version != old["resourceVersion"]:
        raise Conflict(kind.resource, old["name"])


def count_change(kind: Kind, old: Object, new: Object) -> None:
    """A new generation for another spec; a Deployment counts its annotations in."""
    noted = kind is DEPLOYMENT and new["metadata"].get("annotations") != old["metadata"].get("annotations")
    if "generation" in new["metadata"] and (noted or new.get("spec") != old.get("spec")):
        new["metadata"]["generation"] += 1


def without_empty(metadata: Object) -> Object:
    """The metadata without labels, annotations, finalizers and owners of which there are none."""
    return {key: value for key, value in metadata.items() if value or key not in _LISTS}
