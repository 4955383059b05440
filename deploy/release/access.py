"""The Secret with which the feedback sender reaches Pachyderm, made from the client's own configuration.

It holds the active context alone (address, token, CA), reaches kubectl by standard input, and is in no manifest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.release import kubectl, manifest
from deploy.release.errors import ManifestError

SECRET = "fashion-classifier-pachyderm"  # noqa: S105 - a name
OWNER = {"app.kubernetes.io/managed-by": "make-deploy"}
_DEFAULT = Path("~/.pachyderm/config.json")
"""Where pachctl and the SDK look without PACH_CONFIG."""


def apply(seldon: Mapping[str, Any]) -> str:
    """Create or update the Secret beside the SeldonDeployment; returns what was done, in words.  Raises ReleaseError.

    Nothing is done where no pod mounts it.  A Secret that somebody else made is left alone, and without a
    configuration feedback waits in its spool.
    """
    if not _is_mounted(seldon):
        return "feedback is only counted: no container of this overlay sends it"
    namespace = manifest.namespace_of(seldon)
    path = Path(os.environ.get("PACH_CONFIG") or _DEFAULT).expanduser()
    mine = kubectl.find_object("secret", SECRET, "-n", namespace)
    if mine is not None and not OWNER.items() <= (mine["metadata"].get("labels") or {}).items():
        return f"feedback goes where Secret {SECRET} says, which is not from make deploy"
    if not path.exists():
        return f"feedback waits in its spool: there is no Pachyderm configuration ({path}) to reach the repo with"
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": namespace, "labels": OWNER},
        "stringData": {"config.json": json.dumps(active_context(path))},
    }
    # Not apply, which would repeat the token in an annotation.
    kubectl.run("replace" if mine else "create", "-f", "-", stdin=json.dumps(secret))
    return f"feedback goes to Pachyderm as {path} says (Secret {SECRET})"


def active_context(path: Path) -> dict[str, Any]:
    """The configuration with its active context only.  Raises ManifestError."""
    try:
        document = json.loads(path.read_bytes())["v2"]
        name = document["active_context"]
        return {"v2": {"active_context": name, "contexts": {name: document["contexts"][name]}}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{path} is not a Pachyderm configuration ({error!r}); see pachctl connect") from error


def _is_mounted(seldon: Mapping[str, Any]) -> bool:
    parts = manifest.predictor_of(seldon, manifest.MAIN_PREDICTOR)["componentSpecs"]
    volumes = [volume for part in parts for volume in part["spec"].get("volumes") or []]
    return any((volume.get("secret") or {}).get("secretName") == SECRET for volume in volumes)
