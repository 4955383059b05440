"""Asks a container registry what it has, and gives it an image, by skopeo.

Named by transport: `docker://` is a registry, `oci:` a layout's directory (containers-transports(5)).
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from deploy.release import programs
from deploy.release.errors import BuildError

_ABSENT = re.compile(r"manifest unknown|name unknown|repository name not known|unknown: .*not found", re.IGNORECASE)
"""How registries say that there is no such image: OCI's error codes, and Harbor's `unknown: artifact … not found`."""


def manifest(reference: str) -> bytes | None:
    """The manifest that a registry has under a reference, None where it has none.  Raises BuildError."""
    command = ("skopeo", "inspect", "--raw", f"docker://{reference}")
    done = programs.attempt(*command)
    if done.returncode == 0:
        return done.stdout
    if _ABSENT.search(done.stderr.decode(errors="replace")):
        return None
    raise programs.failure(command, done)


def configuration(reference: str) -> Any:
    """The image configuration of a single-platform image in a registry.  Raises BuildError."""
    return json.loads(programs.run("skopeo", "inspect", "--raw", "--config", f"docker://{reference}"))


def push(layout: Path, tag: str, reference: str, digest: str) -> None:
    """Copy an image of the layout to a registry, byte for byte.

    Layers that the registry's repository has already need not be in the layout.  Raises BuildError.
    """
    programs.run("skopeo", "copy", "--quiet", "--preserve-digests", f"oci:{layout}:{tag}", f"docker://{reference}")
    pushed = digest_of(manifest(reference) or b"")
    if pushed != digest:
        raise BuildError(f"{reference} is {pushed} in the registry, not {digest}; another job pushed the same tag")


def digest_of(content: bytes) -> str:
    """The digest of a manifest, from its very bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
