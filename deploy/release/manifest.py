"""Renders deploy/deploy.yaml for one image: by digest, and labelled with where the model comes from.

The labels on the SeldonDeployment and on its main predictor are what "in production" means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.release import files
from deploy.release.errors import ManifestError

TEMPLATE = files.REPOSITORY / "deploy" / "deploy.yaml"
NAME = "fashion-classifier"
MAIN_PREDICTOR = "default"

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


def render(template: str, image: Mapping[str, Any]) -> dict[str, Any]:
    """The SeldonDeployment with the image's digest and labels in place.  Raises ManifestError."""
    try:
        manifest: dict[str, Any] = yaml.safe_load(template)
        predictors = manifest["spec"]["predictors"]
        main = next(each for each in predictors if each["name"] == MAIN_PREDICTOR)
        containers = [c for part in main["componentSpecs"] for c in part["spec"]["containers"] if c["name"] == NAME]
        containers[0]["image"] = image["reference"]
    except (yaml.YAMLError, KeyError, TypeError, StopIteration, IndexError) as error:
        raise ManifestError(
            f"{TEMPLATE.name} is not a SeldonDeployment with predictor {MAIN_PREDICTOR} and container {NAME}: {error}"
        ) from error
    labels = provenance_labels(image)
    for holder in (manifest["metadata"], main):
        holder["labels"] = {**(holder.get("labels") or {}), **labels}
    return manifest


def provenance_labels(image: Mapping[str, Any]) -> dict[str, str]:
    """The image's provenance as labels; what is unknown is left out.  Raises ManifestError for an invalid value."""
    labels = {name: str(image[field]) for name, field in _LABELS.items() if image.get(field) is not None}
    for name, value in labels.items():
        if not _LABEL.fullmatch(value):
            raise ManifestError(f"{name}={value!r} is not a label value (at most 63 letters, digits, '-', '_', '.')")
    return labels


def write(image: Mapping[str, Any], target: Path = files.MANIFEST) -> dict[str, Any]:
    """Render the template of the repository into `target`.  Raises ManifestError."""
    manifest = render(TEMPLATE.read_text(), image)
    files.write(target, yaml.safe_dump(manifest, sort_keys=False))
    return manifest
