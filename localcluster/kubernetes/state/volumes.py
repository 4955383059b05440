"""Rules of volumes: what Kubernetes refuses, and the kinds of volumes that the local cluster has."""

from __future__ import annotations

from collections.abc import Iterator

from localcluster.kubernetes.errors import Cause, Invalid
from localcluster.kubernetes.state.kinds import Object

SERVED = ("emptyDir", "persistentVolumeClaim", "secret", "configMap")
_MOUNT_FIELDS = {"name", "mountPath", "readOnly"}


def faults(path: str, spec: Object) -> Iterator[Cause]:
    """Everything wrong with the volumes and mounts of a Pod's spec, which lies at `path`."""
    volumes = spec.get("volumes") or []
    for index, volume in enumerate(volumes):
        for field in volume.keys() - {"name", *SERVED}:
            text = f"the local cluster has no {field} volumes; use one of {', '.join(SERVED)}"
            yield Cause(f"{path}.volumes[{index}].{field}", f"Forbidden: {text}")
    names = {volume["name"] for volume in volumes}
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(kind) or []):
            for number, mount in enumerate(container.get("volumeMounts") or []):
                yield from _mount(f"{path}.{kind}[{index}].volumeMounts[{number}]", mount, names)


def check_claim(item: Object, old: Object | None) -> None:
    """Raise Invalid for a claim without a way of access, or whose spec is not what it was."""
    name, spec = item["metadata"]["name"], item["spec"]
    if not spec["accessModes"]:
        raise Invalid(item["kind"], "", name, [Cause("spec.accessModes", "Required value: at least 1 access mode")])
    if old and old["spec"] | {"resources": None} != spec | {"resources": None}:
        text = "Forbidden: spec is immutable after creation except resources.requests for bound claims"
        raise Invalid(item["kind"], "", name, [Cause("spec", text)])


def _mount(path: str, mount: Object, names: set[str]) -> Iterator[Cause]:
    if mount["name"] not in names:
        yield Cause(f"{path}.name", f'Not found: "{mount["name"]}"')
    for field in mount.keys() - _MOUNT_FIELDS:
        yield Cause(f"{path}.{field}", f"Forbidden: the local cluster mounts whole volumes, without {field}")
