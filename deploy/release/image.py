"""`python -m deploy.release.image`: a registered version as an OCI image (the target `make image`).

Without REGISTRY it goes into an OCI layout and holds only what is this project's: /app (the wrapper) and /model (the
serving files); on one machine `.venv-serving` takes the place of the base.  With REGISTRY the same layer is put over
the base, Python with the serving lock (deploy/Dockerfile), and pushed: a cluster pulls it by digest.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploy.fashion_classifier.artifact import CHECKSUMS, FILES, OUTLIERS, VERSION
from deploy.release import files, oci, outliers, recipe, skopeo
from deploy.release.errors import LayoutError, ReleaseError
from deploy.release.registry import Registered, fetch, requested_version

MODEL = "fashion-classifier"
APP = files.REPOSITORY / "deploy"
_WRAPPER = (
    "FashionClassifier.py",
    "fashion_classifier/*.py",
    "fashion_classifier/*.json",
    "fashion_classifier/pages/*",
)

ENVIRONMENT = (APP / ".s2i" / "environment").read_text().split()
"""The image's environment variables, in the file where Seldon's users look for them."""

RUNTIME: dict[str, Any] = {
    "User": "10001:10001",
    "ExposedPorts": {"9000/tcp": {}, "9500/tcp": {}, "6000/tcp": {}},
    "Env": ENVIRONMENT,
    "Entrypoint": ["seldon-core-microservice"],
    "Cmd": ["FashionClassifier", "--service-type", "MODEL"],
    "WorkingDir": "/app",
}
"""How the container starts: OCI image specification, `config`."""

BASE = recipe.Recipe("deploy/Dockerfile", ("requirements/serving.txt",))


def build(
    registered: Registered,
    layout: Path,
    *,
    revision: str | None,
    epoch: int,
    base: oci.Base = oci.NOTHING,
    repository: str = MODEL,
) -> dict[str, Any]:
    """Write the image of a version into the layout; returns what `build/image.json` says.

    The same version, wrapper, revision (git commit of the wrapper), epoch and base give the same digest; the layer's
    does not depend on the base.  Raises LayoutError.
    """
    labels = provenance_labels(registered, revision) | (BASE.labels() if base.layers else {})
    content = oci.layer(image_files(registered, revision), epoch)
    tag = f"{repository}:v{registered.version}"
    digest = oci.add_image(layout, tag, content, RUNTIME, labels, epoch, base)
    tags = registered.artifact.tags()
    return {
        "reference": f"{repository}@{digest}",
        "tag": tag,
        "digest": digest,
        "layer": skopeo.digest_of(content),
        "model": registered.artifact.name,
        "model_version": registered.version,
        "checkpoint_uuid": registered.checkpoint,
        "data_commit": tags.get("data_commit"),
        "training_git_commit": tags.get("git_commit"),
        "revision": revision,
        "size": len(content),
        "layout": str(layout),
    }


def push(registered: Registered, layout: Path, registry: str, *, revision: str | None, epoch: int) -> dict[str, Any]:
    """The image of a version over its base, in the container registry; returns what `build/image.json` says.

    The base is in the same repository, so that its layers are never moved again.  A tag is never moved either:
    registries delete what has none, and a deployment names its image by digest.  Raises BuildError and LayoutError.
    """
    repository = recipe.repository(registry, MODEL)
    below = recipe.ensure(BASE, f"{repository}:base-{BASE.key()}")
    base = oci.read_base(skopeo.manifest(below), skopeo.configuration(below))
    record = build(registered, layout, revision=revision, epoch=epoch, base=base, repository=repository)
    target = f"{record['tag']}-{record['digest'].partition(':')[2][:12]}"
    skopeo.push(layout, record["tag"], target, record["digest"])
    return record | {"tag": target, "base": below, "base_size": base.size}


def image_files(registered: Registered, revision: str | None) -> dict[str, bytes]:
    """Path in the image to content: the wrapper below app/, the serving files and version.json below model/.

    SHA256SUMS lists all of model/.
    """
    contents = {
        f"app/{path.relative_to(APP).as_posix()}": path.read_bytes()
        for pattern in _WRAPPER
        for path in APP.glob(pattern)
    }
    directory = registered.artifact.directory
    added = (OUTLIERS,) if registered.artifact.outliers else ()
    contents |= {f"model/{name}": (directory / name).read_bytes() for name in (*FILES, *added, CHECKSUMS)}
    version = {
        "model_version": registered.version,
        "checkpoint": registered.checkpoint,
        "image_revision": revision,
    }
    content = oci.canonical(version)
    # The wrapper proves all that is listed when it starts: a version that says another number is no more to be trusted.
    line = f"{hashlib.sha256(content).hexdigest()}  {VERSION}\n".encode()
    return contents | {f"model/{VERSION}": content, f"model/{CHECKSUMS}": contents[f"model/{CHECKSUMS}"] + line}


def provenance_labels(registered: Registered, revision: str | None) -> dict[str, str]:
    """The image's labels: OCI's own names where there are some, else dotted ones; what is unknown is left out."""
    provenance = registered.artifact.metadata["provenance"]
    labels = {
        "org.opencontainers.image.title": registered.artifact.name,
        "org.opencontainers.image.description": "Fashion-MNIST classifier behind Seldon Core",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": registered.version,
        "org.opencontainers.image.revision": revision,
        "model.name": registered.artifact.name,
        "model.version": registered.version,
        "model.checkpoint": registered.checkpoint,
        "data.train.repo": provenance["data_train"].get("repo"),
        "data.train.commit": provenance["data_train"].get("commit"),
        "training.git.commit": provenance["git"].get("commit"),
        "training.git.dirty": provenance["git"].get("dirty"),
        "training.experiment": provenance.get("experiment_id"),
        "training.trial": provenance.get("trial_id"),
    }
    return {name: str(value) for name, value in labels.items() if value is not None}


def wrapper_revision() -> str | None:
    """The git commit of the wrapper's sources, with `-dirty` where they differ from it; None outside a checkout."""
    sources = (f"deploy/{pattern}" for pattern in (*_WRAPPER, ".s2i/environment"))
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", *sources)
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-dirty" if changed else commit


def source_date_epoch() -> int:
    """The time of every file in the image (seconds): SOURCE_DATE_EPOCH, else 0.  Raises LayoutError."""
    text = os.environ.get("SOURCE_DATE_EPOCH") or "0"
    if not text.isdecimal():
        raise LayoutError(f"SOURCE_DATE_EPOCH={text!r} is not a number of seconds; unset it to use 0")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 where something could not be done."""
    arguments = _parser().parse_args(argv)
    try:
        layout = arguments.layout or (files.BUILD / "images" if arguments.registry else None)
        if layout is None:
            raise LayoutError("IMAGE_LAYOUT is not set: name the OCI layout's directory, or run make up first")
        source: dict[str, Any] = {"revision": wrapper_revision(), "epoch": source_date_epoch()}
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as directory:
            registered = fetch(arguments.model, requested_version(arguments.version), Path(directory))
            told = outliers.add(registered)
            if arguments.registry:
                record = push(registered, layout, arguments.registry, **source)
            else:
                record = build(registered, layout, **source)
    except ReleaseError as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    files.write_json(files.IMAGE_RECORD, record)
    size = f"{record['size'] / 1e6:.1f} MB"
    if arguments.registry:
        size += f" over a base of {record['base_size'] / 1e6:.0f} MB"
    print(f"{record['tag']}  {record['digest']}  {size}  checkpoint {record['checkpoint_uuid']}")
    print(told)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.release.image", description=__doc__)
    model = os.environ.get("MODEL_NAME") or MODEL
    parser.add_argument("--model", default=model, help="name in the registry (default: %(default)s)")
    parser.add_argument("--version", default=os.environ.get("MODEL_VERSION") or "newest", help="a number, or newest")
    layout = os.environ.get("IMAGE_LAYOUT")
    parser.add_argument("--layout", type=Path, default=Path(layout) if layout else None, help="default: $IMAGE_LAYOUT")
    registry = os.environ.get("REGISTRY")
    parser.add_argument("--registry", default=registry, help="host[:port]/path to push to; default: $REGISTRY, or none")
    return parser


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=files.REPOSITORY, capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
