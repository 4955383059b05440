"""What `volumes` and `volumeMounts` become without containers: directories, and paths that lead to them.

A mountPath in a container's command and environment is replaced by the volume's directory, as paths of the image are;
a program that has the path in its own text does not find it, and `readOnly` is not enforced.  An emptyDir lives as
long as its Pod, a claim's directory as long as the claim.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path

from localcluster.files import remove_tree, write_atomically
from localcluster.kubernetes.errors import ConfigError
from localcluster.kubernetes.layout import Layout
from localcluster.kubernetes.state.kinds import CLAIM, CONFIG_MAP, POD, SECRET, Kind, Object
from localcluster.kubernetes.state.store import Store


def mounts(store: Store, layout: Layout, pod: Object, container: Object) -> dict[str, Path]:
    """Mount path -> directory, which is there.  Raises ConfigError where what a volume names is missing."""
    wanted = {mount["mountPath"].rstrip("/"): mount["name"] for mount in container.get("volumeMounts") or []}
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}
    return {path: _directory(store, layout, pod, volumes[name]) for path, name in wanted.items()}


def refresh(store: Store, layout: Layout, pod: Object) -> None:
    """Bring the files of Secrets and ConfigMaps up to date in a Pod that runs; what is gone stays as it was."""
    for volume in pod["spec"].get("volumes") or []:
        directory = layout.pod_volume(pod["metadata"]["uid"], volume["name"])
        if directory.is_dir() and (source := _source(store, pod, volume)):
            _project(directory, *source)


def entries(store: Store, kind: Kind, namespace: str, name: str) -> dict[str, bytes] | None:
    """What a Secret or ConfigMap holds; None where it is not there."""
    found = store.find(kind, namespace, name)
    data: dict[str, str] = (found or {}).get("data") or {}
    read = base64.b64decode if kind is SECRET else str.encode
    return {key: read(text) for key, text in data.items()} if found else None


def bind(store: Store, layout: Layout) -> None:
    """Give every claim its directory and phase; delete those of claims that are gone, once no Pod uses them."""
    claims = store.all(CLAIM)[0]
    for claim in claims:
        layout.claim(claim["metadata"]["uid"]).mkdir(parents=True, exist_ok=True, mode=0o700)
        if claim.get("status", {}).get("phase") != "Bound":
            spec = claim["spec"]
            capacity = (spec.get("resources") or {}).get("requests") or {}
            bound = {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": capacity}
            store.set_status(CLAIM, claim, bound)
    known = {claim["metadata"]["uid"] for claim in claims}
    for directory in layout.claims.glob("*"):
        if directory.name not in known and not any(map(_uses_claims, store.all(POD)[0])):
            with suppress(OSError):  # What is still written into goes in a later round.
                remove_tree(directory)


def _uses_claims(pod: Object) -> bool:
    return any("persistentVolumeClaim" in volume for volume in pod["spec"].get("volumes") or [])


def _directory(store: Store, layout: Layout, pod: Object, volume: Object) -> Path:
    if claim := volume.get("persistentVolumeClaim"):
        found = store.find(CLAIM, pod["metadata"]["namespace"], claim["claimName"])
        if found is None:
            raise ConfigError(f'persistentvolumeclaim "{claim["claimName"]}" not found')
        directory = layout.claim(found["metadata"]["uid"])
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return directory
    directory = layout.pod_volume(pod["metadata"]["uid"], volume["name"])
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if "emptyDir" not in volume:
        if source := _source(store, pod, volume):
            _project(directory, *source)
        else:
            _refuse_missing(volume)
    return directory


def _source(store: Store, pod: Object, volume: Object) -> tuple[Object, dict[str, bytes]] | None:
    """The volume's own part of the Pod's spec and the files that it names; None where the object is not there."""
    for field, key, kind in (("secret", "secretName", SECRET), ("configMap", "name", CONFIG_MAP)):
        if wanted := volume.get(field):
            files = entries(store, kind, pod["metadata"]["namespace"], wanted[key])
            return None if files is None else (wanted, files)
    return None


def _project(directory: Path, wanted: Object, files: dict[str, bytes]) -> None:
    items = wanted.get("items") or [{"key": key, "path": key} for key in files]
    for item in items:
        path, content = directory / item["path"], files.get(item["key"])
        if not path.resolve().is_relative_to(directory.resolve()):
            raise ConfigError(f"the file {item['path']!r} of a volume leads out of it")
        if content is not None and not (path.is_file() and path.read_bytes() == content):
            write_atomically(path, content, mode=0o600)


def _refuse_missing(volume: Object) -> None:
    for field, key in (("secret", "secretName"), ("configMap", "name")):
        if (wanted := volume.get(field)) and not wanted.get("optional"):
            reason = f'{field.lower()} "{wanted[key]}" not found'
            raise ConfigError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {reason}')
