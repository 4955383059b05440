"""The Python base where no public registry can be reached: Debian 12, whose Python is 3.11, by debootstrap.

It takes a minute or more, so it is kept as an OCI layout below ~/.cache; what is built on it is built anew every time.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock

from deploy.release import programs, skopeo
from tests.deploy.image.cache import CACHE

PACKAGES = ("python3", "python3-pip", "ca-certificates")
_CACHE = CACHE / "debian-12-python"


def push(target: str) -> str:
    """Put it into a registry; its reference by digest.  Raises BuildError and CalledProcessError."""
    _CACHE.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_CACHE.with_suffix(".lock")):
        if not _CACHE.exists():
            _make()
    programs.run("skopeo", "copy", "--quiet", "--preserve-digests", f"oci:{_CACHE}:python", f"docker://{target}")
    return f"{target.rpartition(':')[0]}@{skopeo.digest_of(skopeo.manifest(target) or b'')}"


def _make() -> None:
    with tempfile.TemporaryDirectory(dir=_CACHE.parent) as directory:
        tree, layout = Path(directory) / "tree", Path(directory) / "layout"
        include = f"--include={','.join(PACKAGES)}"
        subprocess.run(
            ["debootstrap", "--variant=minbase", include, "bookworm", tree],
            check=True,
            capture_output=True,
            timeout=1200,
        )
        for name in ("var/cache/apt/archives", "var/lib/apt/lists", "debootstrap"):
            shutil.rmtree(tree / name, ignore_errors=True)
        container = programs.run("buildah", "from", "scratch").strip()
        programs.run("buildah", "add", "--quiet", container, str(tree), "/")
        variables = ("--env=PATH=/usr/local/bin:/usr/bin:/bin", "--env=LANG=C.UTF-8")
        programs.run("buildah", "config", *variables, container)
        programs.run("buildah", "commit", "--quiet", "--rm", "--timestamp=0", container, f"oci:{layout}:python")
        layout.rename(_CACHE)
