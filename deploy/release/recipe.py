"""The images that hold an environment: which Dockerfile, what goes in, and whether a registry has the result.

Such an image is tagged with a hash of all that decides what is in it: where a registry has the tag, nothing is built.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.release import files, programs, skopeo
from deploy.release.errors import BuildError

_BASE = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)
_BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_REGISTRY = re.compile(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*")
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Recipe:
    """A Dockerfile, and the files that it copies, as globs, first of all its lock; from the repository's root."""

    dockerfile: str
    sources: tuple[str, ...]

    def base(self) -> str:
        """The Python image: `BASE`, else the Dockerfile's own.  Raises BuildError where it has no digest."""
        found = _BASE.search((files.REPOSITORY / self.dockerfile).read_text())
        base = os.environ.get("BASE") or (found[1] if found else "")
        if not _BY_DIGEST.fullmatch(base):
            raise BuildError(f"BASE={base!r} has no digest, so it may change under you; add @sha256:…")
        return base

    def key(self) -> str:
        """Of everything that decides what the image holds, a hash that can be a tag."""
        digest = hashlib.sha256(self.base().encode())
        copied = {path for source in self.sources for path in files.REPOSITORY.glob(source) if path.is_file()}
        for path in (files.REPOSITORY / self.dockerfile, *sorted(copied)):
            if path.suffix != ".pyc":
                digest.update(f"\0{path.relative_to(files.REPOSITORY)}\0".encode() + path.read_bytes())
        return digest.hexdigest()[:16]

    def labels(self) -> dict[str, str]:
        """What the image stands on, in OCI's own names where there are some.  Raises BuildError."""
        name, _, digest = self.base().partition("@")
        lock = files.REPOSITORY / self.sources[0]
        return {
            "org.opencontainers.image.base.name": name,
            "org.opencontainers.image.base.digest": digest,
            f"{lock.stem}.lock.sha256": hashlib.sha256(lock.read_bytes()).hexdigest(),
        }


def repository(registry: str, name: str) -> str:
    """The name of an image in a registry.  Raises BuildError where `registry` is no address of one."""
    if not _REGISTRY.fullmatch(registry):
        raise BuildError(f"REGISTRY={registry!r} is not host[:port]/path in lower case, without a scheme")
    return f"{registry}/{name}"


def ensure(recipe: Recipe, target: str) -> str:
    """Build and push the image where the registry does not have `target` (name:tag); its reference by digest.

    Raises BuildError.
    """
    found = skopeo.manifest(target)
    if found is None:
        print(f"{target} is not in the registry: building {recipe.dockerfile} ...", file=sys.stderr)
        build(recipe, target)
        found = skopeo.manifest(target)
        if found is None:
            raise BuildError(f"{target} was pushed, but the registry does not have it; look at the registry's log")
    return f"{target.rpartition(':')[0]}@{skopeo.digest_of(found)}"


def build(recipe: Recipe, target: str) -> None:
    """Build and push an image.  Raises BuildError.

    All times in it are 0, so that equal files make an equal layer.  `PIP_CONFIG_FILE` (an index of your own) and
    `PIP_CERT` (an authority of your own) are mounted while pip runs and stay out of the image.
    """
    local = f"localhost/{recipe.dockerfile.lower()}:{recipe.key()}"
    mounts = {os.environ.get("PIP_CONFIG_FILE"): "/etc/pip.conf", os.environ.get("PIP_CERT"): _CERTIFICATES}
    programs.run(
        "buildah",
        "build",
        "--timestamp=0",
        f"--build-arg=BASE={recipe.base()}",
        *(f"--label={name}={value}" for name, value in recipe.labels().items()),
        *(f"--volume={Path(source).absolute()}:{place}:ro" for source, place in mounts.items() if source),
        f"--file={files.REPOSITORY / recipe.dockerfile}",
        f"--tag={local}",
        str(files.REPOSITORY),
    )
    try:
        programs.run("buildah", "push", local, f"docker://{target}")
    finally:
        programs.run("buildah", "rmi", local)
