"""Reads the model folder: the files of the serving format, and `version.json` and `outliers.npz` of `make image`.

A damaged or unknown folder is refused when the worker starts, before it can answer anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ModelError

FORMAT_VERSION = 1
FILES = ("labels.json", "metadata.json", "model.tflite")
CHECKSUMS = "SHA256SUMS"
VERSION = "version.json"
OUTLIERS = "outliers.npz"
CLASSES = 10


@dataclass(frozen=True)
class Artifact:
    """A verified model folder: ten class names by label, the format's metadata, and the registered version."""

    directory: Path
    labels: tuple[str, ...]
    metadata: Mapping[str, Any]
    version: Mapping[str, Any]

    @property
    def model(self) -> Path:
        """The exported model."""
        return self.directory / "model.tflite"

    @property
    def outliers(self) -> Path | None:
        """What tells outliers, where the image has it."""
        file = self.directory / OUTLIERS
        return file if file.exists() else None

    @property
    def name(self) -> str:
        """The model's name in the registry."""
        return str(self.metadata["model"]["name"])

    def tags(self) -> dict[str, str]:
        """The provenance that every answer carries in `meta.tags`; what is unknown is left out."""
        provenance = self.metadata["provenance"]
        tags = {
            "model_name": self.name,
            "model_version": self.version.get("model_version"),
            "checkpoint": self.version.get("checkpoint"),
            "data_commit": provenance["data_train"].get("commit"),
            "git_commit": provenance["git"].get("commit"),
            "experiment_id": provenance.get("experiment_id"),
            "trial_id": provenance.get("trial_id"),
        }
        return {name: str(value) for name, value in tags.items() if value is not None}


def read_artifact(directory: Path) -> Artifact:
    """Verify and read a model folder.  Raises ModelError, naming the file that is wrong."""
    verify_checksums(directory)
    labels, metadata = _json(directory / "labels.json"), _json(directory / "metadata.json")
    if not isinstance(labels, list) or len(labels) != CLASSES or not all(isinstance(name, str) for name in labels):
        raise ModelError(f"{directory / 'labels.json'} must list {CLASSES} class names")
    _check_metadata(metadata, directory / "metadata.json")
    version = _json(directory / VERSION) if (directory / VERSION).exists() else {}
    return Artifact(directory, tuple(labels), metadata, version)


def verify_checksums(directory: Path) -> None:
    """Compare the files with SHA256SUMS (the format of `sha256sum -c`).  Raises ModelError."""
    sums = directory / CHECKSUMS
    try:
        lines = sums.read_text().splitlines()
    except OSError as error:
        raise ModelError(f"{sums} cannot be read ({error.strerror}); the checkpoint has no serving format") from error
    expected = {name.lstrip("*"): digest for digest, _, name in (line.partition(" ") for line in lines)}
    expected = {name.strip(): digest for name, digest in expected.items()}
    added = (OUTLIERS,) if (directory / OUTLIERS).exists() else ()
    for name in (*FILES, *added):
        if name not in expected:
            raise ModelError(f"{sums} does not list {name}; the checkpoint has no serving format")
    for name, digest in expected.items():
        if Path(name).name != name:
            raise ModelError(f"{sums} lists {name!r}, which is outside the folder")
        try:
            actual = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f"{directory / name} cannot be read ({error.strerror})") from error
        if actual != digest:
            raise ModelError(f"{directory / name} has SHA-256 {actual}; {CHECKSUMS} says {digest}")


def _check_metadata(metadata: Any, path: Path) -> None:
    try:
        version = metadata["format_version"]
        model, provenance = metadata["model"], metadata["provenance"]
        complete = all(isinstance(each, dict) for each in (provenance["data_train"], provenance["git"]))
        known = model["file"] == "model.tflite" and model["runtime"] == "litert" and bool(model["name"])
    except (KeyError, TypeError) as error:
        raise ModelError(f"{path} lacks {error}; the checkpoint has no serving format") from error
    if version != FORMAT_VERSION:
        raise ModelError(f"{path} has format version {version}; this wrapper reads {FORMAT_VERSION}")
    if not (complete and known):
        raise ModelError(f"{path} describes another kind of model: {model}")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not readable JSON: {error}") from error
