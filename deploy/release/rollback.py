"""`python -m deploy.release.rollback`: back to the version that was live before (the target `make rollback`).

An unfinished release is given up first, and that is all.  Otherwise the newest entry of the history with another image
is deployed again, by its digest; so a rollback of a rollback returns.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from deploy.release import apply, history, kubectl, manifest, phases
from deploy.release.errors import DeployError, ReleaseError


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 where it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release.rollback", description=__doc__)
    parser.add_argument("--version", help="a version of the history instead of the one before")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for the rollout (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        print(_roll_back(arguments.version, arguments.timeout))
    except ReleaseError as error:
        print(f"rollback: {error}", file=sys.stderr)
        return 1
    return 0


def _roll_back(version: str | None, seconds: float) -> str:
    objects = manifest.read_overlay()
    template = manifest.seldon_of(objects)
    namespace = manifest.namespace_of(template)
    live = kubectl.find_object("seldondeployment", manifest.NAME, "-n", namespace)
    if live and phases.unfinished(live) and version is None:
        image = phases.image_of(live)
        apply.apply(objects, phases.alone(live), seconds)
        history.add(namespace, history.Entry.of("rollback", image, reason="an unfinished release was given up"))
        return f"the unfinished release was given up; version {image['model_version']} is live"
    entries = history.read(namespace)
    entry = history.previous(entries, phases.image_of(live)["reference"] if live else None, version)
    if entry is None:
        wanted = f"version {version}" if version else "other version that was live"
        raise DeployError(
            f"ConfigMap {history.NAME} in namespace {namespace} knows no {wanted}; "
            "MODEL_VERSION=n make image deploy puts any registered version there"
        )
    image = entry.as_image()
    _deploy(objects, manifest.render(template, image), live, seconds, entry)
    base = apply.confirm(image, namespace, 60)
    history.add(namespace, history.Entry.of("rollback", image))
    return f"version {entry.version} ({image['digest'][:19]}) is live again at {base}/predictions"


def _deploy(
    objects: list[manifest.Manifest],
    seldon: manifest.Manifest,
    live: dict[str, Any] | None,
    seconds: float,
    entry: history.Entry,
) -> None:
    try:
        apply.apply(objects, seldon, seconds)
    except DeployError as error:
        if live:
            apply.apply(objects, phases.alone(live), seconds)
        raise DeployError(
            f"version {entry.version} could not be deployed again, what was live stays. If its image {entry.image} is "
            f"gone, MODEL_VERSION={entry.version} make image deploy builds it anew.\n{error}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
