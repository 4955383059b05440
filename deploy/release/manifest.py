"""Renders an overlay of deploy/ for one image: by digest, and labelled with where the model comes from.

The labels on the SeldonDeployment and on its main predictor are what "in production" means.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deploy.release import files, kubectl
from deploy.release.errors import ManifestError

OVERLAYS = files.REPOSITORY / "deploy" / "overlays"
KIND = "SeldonDeployment"
NAME = "fashion-classifier"
MAIN_PREDICTOR = "default"

Manifest = dict[str, Any]
"""A Kubernetes object."""

_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
"""A label's value (Kubernetes, "Labels and Selectors", syntax)."""

_LABELS = {
    "app.kubernetes.io/version": "model_version",
    "model-version": "model_version",
    "checkpoint": "checkpoint_uuid",
    "data-commit": "data_commit",
    "git-commit": "revision",
}


def read_image(path: Path = files.IMAGE_RECORD) -> dict[str, Any]:
    """What `make image` wrote.  Raises ManifestError."""
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        complete = {"reference", "digest", "model_version", "checkpoint_uuid"} <= record.keys()
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror}); run make image") from error
    except (ValueError, AttributeError) as error:
        raise ManifestError(f"{path} is damaged ({error}); run make image") from error
    if not complete:
        raise ManifestError(f"{path} does not name an image; run make image")
    return record


def read_overlay(name: str | None = None) -> list[Manifest]:
    """The objects of an overlay (default: `$OVERLAY`, else `local`), as kustomize builds it.  Raises ReleaseError."""
    name = name or os.environ.get("OVERLAY") or "local"
    known = sorted(path.parent.name for path in OVERLAYS.glob("*/kustomization.yaml"))
    if name not in known:
        raise ManifestError(f"OVERLAY={name!r} is none of {', '.join(known)}")
    return [each for each in yaml.safe_load_all(kubectl.run("kustomize", str(OVERLAYS / name))) if each]


def seldon_of(objects: Sequence[Manifest]) -> Manifest:
    """The one SeldonDeployment of the model among the objects.  Raises ManifestError."""
    found = [each for each in objects if each.get("kind") == KIND and each["metadata"]["name"] == NAME]
    if len(found) != 1:
        raise ManifestError(f"the overlay has {len(found)} objects {KIND}/{NAME}; it needs one, see deploy/base")
    return found[0]


def namespace_of(seldon: Mapping[str, Any]) -> str:
    """Where a SeldonDeployment lives."""
    return str(seldon["metadata"].get("namespace", "default"))


def render(seldon: Manifest, image: Mapping[str, Any]) -> Manifest:
    """The SeldonDeployment with the image's digest and labels in place.  Raises ManifestError."""
    manifest = copy.deepcopy(seldon)
    try:
        main = predictor_of(manifest, MAIN_PREDICTOR)
        _set_image(main, image["reference"])
    except (KeyError, TypeError, StopIteration) as error:
        raise ManifestError(
            f"deploy/base is not a SeldonDeployment with predictor {MAIN_PREDICTOR} and container {NAME}: {error!r}"
        ) from error
    labels = provenance_labels(image)
    for holder in (manifest["metadata"], main):
        holder["labels"] = {**(holder.get("labels") or {}), **labels}
    return manifest


def predictor_of(seldon: Mapping[str, Any], name: str) -> Manifest:
    """A predictor by its name; raises StopIteration where there is none."""
    return next(each for each in seldon["spec"]["predictors"] if each["name"] == name)


def container_of(predictor: Mapping[str, Any]) -> Manifest:
    """The predictor's container that serves the model; raises StopIteration where there is none."""
    return next(c for part in predictor["componentSpecs"] for c in part["spec"]["containers"] if c["name"] == NAME)


def _set_image(predictor: Manifest, reference: str) -> None:
    """Give the new image to the model's container and to those that run the same image beside it."""
    before = container_of(predictor)["image"]
    for part in predictor["componentSpecs"]:
        for container in part["spec"]["containers"]:
            if container.get("image") == before:
                container["image"] = reference


def provenance_labels(image: Mapping[str, Any]) -> dict[str, str]:
    """The image's provenance as labels; what is unknown is left out.  Raises ManifestError for an invalid value."""
    labels = {name: str(image[field]) for name, field in _LABELS.items() if image.get(field) is not None}
    for name, value in labels.items():
        if not _LABEL.fullmatch(value):
            raise ManifestError(f"{name}={value!r} is not a label value (at most 63 letters, digits, '-', '_', '.')")
    return labels


def write(objects: Sequence[Manifest], seldon: Manifest, target: Path = files.MANIFEST) -> None:
    """Write the overlay's objects to `target`, with `seldon` in place of the overlay's own."""
    documents = [*(each for each in objects if each.get("kind") != KIND), seldon]
    files.write(target, yaml.safe_dump_all(documents, sort_keys=False))
