"""Pulling an image: from the OCI layout into a read-only directory, every digest verified on the way.

The unpacked directory appears by one rename, so a crash leaves either nothing or all of it.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backports import tarfile

from localcluster.files import remove_tree
from localcluster.kubernetes.errors import ImageError

REFERENCE = "org.opencontainers.image.ref.name"
_PREFIXES = ("localhost/", "docker.io/library/", "docker.io/")
_CONFIG_COPY = ".image-config.json"
_UNPACKING = threading.Lock()
"""Containers of one Pod often share an image: who comes second must not replace what the first has begun to run in."""


@dataclass(frozen=True)
class Image:
    """An unpacked image: its root directory, manifest digest and runtime configuration (OCI image spec, `config`)."""

    root: Path
    digest: str
    config: dict[str, Any]


def pull(layout: Path, rootfs: Path, reference: str) -> Image:
    """Resolve, verify and unpack; cheap when that was done before.  Raises ImageError."""
    digest = reference.partition("@")[2]
    root, copy = _places(rootfs, digest)
    if not digest or not (root.is_dir() and copy.exists()):
        digest = resolve(layout, reference)
        root, copy = _places(rootfs, digest)
    with _UNPACKING:
        if not (root.is_dir() and copy.exists()):
            _unpack(layout, digest, root, copy)
    return Image(root, digest, json.loads(copy.read_text()).get("config") or {})


def _places(rootfs: Path, digest: str) -> tuple[Path, Path]:
    root = rootfs / digest.replace(":", "-").replace("/", "-")
    return root, root.with_name(root.name + _CONFIG_COPY)


def resolve(layout: Path, reference: str) -> str:
    """The manifest digest that a reference (`name:tag` or `name@sha256:...`) stands for; raises ImageError."""
    try:
        manifests = json.loads((layout / "index.json").read_text())["manifests"]
    except (OSError, ValueError, KeyError) as error:
        raise ImageError(
            f"cannot resolve {reference}: {layout} is not an OCI image layout ({error}); run `make image`"
        ) from error
    name, _, digest = reference.partition("@")
    for manifest in manifests:
        if digest and manifest["digest"] == digest:
            return digest
        found = manifest.get("annotations", {}).get(REFERENCE, "")
        if not digest and found and _canonical(found) == _canonical(name):
            return str(manifest["digest"])
    raise ImageError(f"{reference} not found in {layout}; run `make image`, or name an image that is there")


def _canonical(reference: str) -> str:
    for prefix in _PREFIXES:
        reference = reference.removeprefix(prefix)
    return reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"


def _blob(layout: Path, descriptor: dict[str, Any]) -> Path:
    """The verified file of a descriptor."""
    algorithm, _, value = str(descriptor["digest"]).partition(":")
    if algorithm != "sha256" or not value.isalnum():
        raise ImageError(f"digest {descriptor['digest']} is not a sha256 digest")
    path = layout / "blobs" / "sha256" / value
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(f"blob {descriptor['digest']} is missing from {layout}: {error.strerror}") from error
    if found != value:
        raise ImageError(f"blob {path} is damaged: its sha256 is {found}; run `make image` again")
    return path


def _unpack(layout: Path, digest: str, root: Path, config_copy: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=root.parent, prefix=".unpacking-"))
    try:
        manifest = json.loads(_blob(layout, {"digest": digest}).read_text())
        if "layers" not in manifest:
            raise ImageError(f"{digest} is not an image manifest (an index of several platforms is not served)")
        config = _blob(layout, manifest["config"]).read_text()
        json.loads(config)
        for layer in manifest["layers"]:
            _extract(_blob(layout, layer), temporary)
        for path in (temporary, *temporary.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o555 | (0o555 if path.is_dir() else 0o444))
        config_copy.write_text(config)
        if root.exists():
            remove_tree(root)
        temporary.rename(root)
    except (tarfile.TarError, KeyError, ValueError, OSError) as error:
        raise ImageError(f"image {digest} cannot be unpacked: {error}") from error
    finally:
        if temporary.exists():
            remove_tree(temporary)


def _extract(layer: Path, root: Path) -> None:
    """Lay one layer over `root`; first its `.wh.` entries remove what lower layers brought (OCI image spec, layers)."""
    with tarfile.open(layer, "r:*") as archive:
        members = archive.getmembers()
        for member in members:
            if (name := Path(member.name).name).startswith(".wh."):
                parent = (root / member.name).parent
                if not parent.resolve().is_relative_to(root.resolve()):
                    raise ImageError(f"whiteout {member.name} leads out of the image")
                _hide(list(parent.glob("*")) if name == ".wh..wh..opq" else [parent / name.removeprefix(".wh.")])
        for member in members:
            if not Path(member.name).name.startswith(".wh."):
                archive.extract(member, root, filter="data")


def _hide(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            path.unlink(missing_ok=True)
