"""Rules of volumes: what Kubernetes refuses, and the kinds of volumes that the local cluster has."""

from __future__ import annotations

from collections.abc import Iterator

from localcluster.kubernetes.errors import Cause
from localcluster.kubernetes.state import metadata
from localcluster.kubernetes.state import names as rules
from localcluster.kubernetes.state.kinds import Object
from localcluster.kubernetes.state.quantities import quantity

SERVED = ("emptyDir", "persistentVolumeClaim", "secret", "configMap")
_SOURCES = {
    "persistentVolumeClaim": "claimName",
    "secret": "secretName",  # pragma: allowlist secret
    "configMap": "name",
}
"""What each kind of volume has to name."""
_PROJECTED = ("secret", "configMap")
_MOUNT_FIELDS = {"name", "mountPath", "readOnly"}
_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_IMMUTABLE = (
    "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound "
    "claims"
)


def names(spec: Object) -> set[str]:
    """The names of a Pod's volumes that can be mounted: those without a fault."""
    return {volume.get("name") or "" for volume in spec.get("volumes") or [] if not list(_volume_faults("", volume))}


def faults(path: str, spec: Object) -> Iterator[Cause]:
    """Everything wrong with the volumes and mounts of a Pod's spec, which lies at `path`."""
    yield from volume_faults(path, spec)
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(kind) or []):
            yield from mount_faults(f"{path}.{kind}[{index}]", container, names(spec))


def volume_faults(path: str, spec: Object) -> Iterator[Cause]:
    """Everything wrong with the volumes."""
    seen: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or []):
        where, name = f"{path}.volumes[{index}]", volume.get("name") or ""
        yield from _volume_faults(where, volume)
        if name in seen:
            yield Cause(f"{where}.name", f'Duplicate value: "{name}"')
        seen.add(name)


def _volume_faults(path: str, volume: Object) -> Iterator[Cause]:
    for field in volume.keys() - {"name", *SERVED}:
        text = f"the local cluster has no {field} volumes; use one of {', '.join(SERVED)}"
        yield Cause(f"{path}.{field}", f"Forbidden: {text}")
    given = [field for field in volume if field != "name" and volume[field] is not None]
    for field in given[1:]:
        yield Cause(f"{path}.{field}", "Forbidden: may not specify more than 1 volume type")
    for field in given[:1]:
        source, wanted = volume[field], _SOURCES.get(field)
        if wanted and not source.get(wanted):
            yield Cause(f"{path}.{field}.{wanted}", "Required value")
        for index, item in enumerate(source.get("items") or [] if field in _PROJECTED else []):
            yield from _item_faults(f"{path}.{field}.items[{index}]", item)
    yield from metadata.required(f"{path}.name", volume.get("name") or "", rules.label)


def _item_faults(path: str, item: Object) -> Iterator[Cause]:
    """Everything wrong with a key and the path of its file, which must stay in the volume."""
    if not item.get("key"):
        yield Cause(f"{path}.key", "Required value")
    file = item.get("path") or ""
    if not file:
        yield Cause(f"{path}.path", "Required value")
    elif file.startswith("/"):
        yield Cause.invalid(f"{path}.path", file, "must be a relative path")
    elif ".." in file.split("/"):
        yield Cause.invalid(f"{path}.path", file, "must not contain '..'")
    elif file.startswith(".."):
        yield Cause.invalid(f"{path}.path", file, "must not start with '..'")


def mount_faults(path: str, container: Object, mounted: set[str]) -> Iterator[Cause]:
    """Everything wrong with the mounts of the container at `path`; `mounted` are the Pod's volumes."""
    seen: set[str] = set()
    for number, mount in enumerate(container.get("volumeMounts") or []):
        where = f"{path}.volumeMounts[{number}]"
        if mount.get("name") not in mounted:
            yield Cause(f"{where}.name", f'Not found: "{mount.get("name") or ""}"')
        if not mount.get("mountPath"):
            yield Cause(f"{where}.mountPath", "Required value")
        elif mount["mountPath"] in seen:
            yield Cause.invalid(f"{where}.mountPath", mount["mountPath"], "must be unique")
        seen.add(mount.get("mountPath") or "")
        for field in mount.keys() - _MOUNT_FIELDS:
            yield Cause(f"{where}.{field}", f"Forbidden: the local cluster mounts whole volumes, without {field}")


def claim_faults(item: Object, old: Object | None) -> Iterator[Cause]:
    """Everything wrong with a claim, and a spec that is not what it was."""
    spec = item["spec"]
    if not spec.get("accessModes"):
        yield Cause("spec.accessModes", "Required value: at least 1 access mode is required")
    for mode in spec.get("accessModes") or []:
        if mode not in _MODES:
            yield Cause.unsupported("spec.accessModes", mode, *_MODES)
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if wanted is None:
        yield Cause("spec.resources[storage]", "Required value")
    elif quantity(wanted) <= 0:
        yield Cause.invalid("spec.resources[storage]", str(wanted), "must be greater than zero")
    if old and old["spec"] | {"resources": None} != spec | {"resources": None}:
        yield Cause("spec", _IMMUTABLE)
