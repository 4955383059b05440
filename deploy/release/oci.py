"""Writes images into an OCI image layout, reproducible to the byte.

Sources: OCI image specification 1.1: image-layout.md, manifest.md, config.md, layer.md.  Layers are uncompressed
tars: then the bytes do not depend on the machine's zlib, and a layer's digest is also its diff id.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from deploy.release import files
from deploy.release.errors import LayoutError

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
REFERENCE = "org.opencontainers.image.ref.name"
_LOCK_SECONDS = 60.0

Descriptor = dict[str, Any]


@dataclass(frozen=True)
class Base:
    """What an image is put on: its layers' descriptors and its whole image configuration."""

    layers: tuple[Descriptor, ...]
    image: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes of the layers as they are stored, most often compressed."""
        return sum(int(each["size"]) for each in self.layers)


NOTHING = Base((), {})
"""The base of an image whose only layer is its own."""


def layer(contents: Mapping[str, bytes], epoch: int) -> bytes:
    """A layer with these files (path in the image to content): sorted, owned by root, all of one time."""
    directories = {str(parent) for path in contents for parent in PurePosixPath(path).parents} - {"."}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted({*contents, *directories}):
            entry = tarfile.TarInfo(path)
            entry.mtime = epoch
            if path in directories:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                entry.size, entry.mode = len(contents[path]), 0o644
                archive.addfile(entry, io.BytesIO(contents[path]))
    return stream.getvalue()


def read_base(manifest: bytes | None, image: Any) -> Base:
    """A base, as a registry describes it: manifest and image configuration.  Raises LayoutError."""
    try:
        layers = json.loads(manifest or b"")["layers"]
        same = len(layers) == len(image["rootfs"]["diff_ids"])
    except (ValueError, KeyError, TypeError) as error:
        raise LayoutError(f"the base is not an OCI image of one platform: {error!r}") from error
    if not same:
        raise LayoutError("the base's manifest and its configuration name different layers; build it again")
    return Base(tuple(layers), image)


def add_image(
    layout: Path,
    reference: str,
    layer_content: bytes,
    config: Mapping[str, Any],
    labels: Mapping[str, str],
    epoch: int,
    base: Base = NOTHING,
) -> str:
    """Add an image of one layer over `base` under `reference` (name:tag); returns its manifest digest.

    `config` is the `config` object of the image configuration, without the labels.  The tag moves if it exists; the
    image that had it stays, because a running deployment names it by digest.  The base's own layers are not copied:
    the registry that the image is for has them.  Raises LayoutError.
    """
    try:
        _create(layout)
        diff = _blob(layout, layer_content, LAYER)
        created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        below = base.image
        step = {"created": created, "created_by": "deploy.release.image", "comment": "app and model"}
        image = {
            "created": created,
            "architecture": "amd64",
            "os": "linux",
            "config": {**_over(below.get("config") or {}, config), "Labels": dict(sorted(labels.items()))},
            "rootfs": {"type": "layers", "diff_ids": [*below.get("rootfs", {}).get("diff_ids", []), diff["digest"]]},
            "history": [*below.get("history", []), step],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _blob(layout, canonical(image), CONFIG),
            "layers": [*base.layers, diff],
            "annotations": dict(sorted(labels.items())),
        }
        descriptor = _blob(layout, canonical(manifest), MANIFEST)
        with _locked(layout):
            _point(layout, reference, descriptor)
    except OSError as error:
        raise LayoutError(f"{layout} cannot be written: {error}; set IMAGE_LAYOUT to a writable directory") from error
    return str(descriptor["digest"])


def _over(below: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """A container configuration over the base's: what it sets holds, environment variables one by one."""
    variables = dict(text.partition("=")[::2] for text in (*below.get("Env", ()), *config.get("Env", ())))
    environment = {"Env": [f"{name}={value}" for name, value in variables.items()]} if variables else {}
    return {**below, **config, **environment}


def _create(layout: Path) -> None:
    (layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    marker = layout / "oci-layout"
    if not marker.exists():
        files.write(marker, canonical({"imageLayoutVersion": "1.0.0"}))


def _blob(layout: Path, content: bytes, media_type: str) -> Descriptor:
    digest = hashlib.sha256(content).hexdigest()
    path = layout / "blobs" / "sha256" / digest
    if not path.exists() or path.read_bytes() != content:
        files.write(path, content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _point(layout: Path, reference: str, descriptor: Descriptor) -> None:
    path = layout / "index.json"
    try:
        index = json.loads(path.read_text()) if path.exists() else {}
        present = [dict(each) for each in index.get("manifests", [])]
    except (ValueError, TypeError, AttributeError) as error:
        raise LayoutError(f"{path} is not an OCI index: {error}; move it away and build again") from error
    kept = []
    for each in present:
        if each.get("annotations", {}).get(REFERENCE) == reference:
            each["annotations"] = {name: text for name, text in each["annotations"].items() if name != REFERENCE}
        if not each.get("annotations"):
            each.pop("annotations", None)
            if each["digest"] == descriptor["digest"] or each in kept:
                continue
        kept.append(each)
    tagged = {**descriptor, "annotations": {REFERENCE: reference}}
    files.write(path, canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": [*kept, tagged]}))


@contextmanager
def _locked(layout: Path) -> Iterator[None]:
    """Hold the layout's directory, so that two builds never lose each other's tags."""
    descriptor = os.open(layout, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + _LOCK_SECONDS
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LayoutError(f"another build has held {layout} for {_LOCK_SECONDS:.0f} s; try again") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def canonical(value: Any) -> bytes:
    """JSON that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
