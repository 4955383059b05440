"""Fetches a registered version from Determined and proves that it is in the serving format."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from determined.common.api.errors import (
    APIException,
    BadRequestException,
    MasterNotFoundException,
    NotFoundException,
    UnauthenticatedException,
)
from determined.errors import CheckpointStateException, MultipleDownloadsFailed
from determined.experimental import Determined

from deploy.fashion_classifier.artifact import Artifact, read_artifact
from deploy.fashion_classifier.errors import ModelError
from deploy.fashion_classifier.model import Classifier
from deploy.release.errors import RegistryError


@dataclass(frozen=True)
class Registered:
    """One version of the model: its number, its checkpoint, and the verified files."""

    version: int
    checkpoint: str
    artifact: Artifact


def requested_version(text: str) -> int | None:
    """Read `--version`: a number, or None for `newest`.  Raises RegistryError."""
    if text == "newest":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise RegistryError(f"{text!r} is not a version; give a number from 1 on, or newest")
    return int(text)


def fetch(model: str, version: int | None, directory: Path) -> Registered:
    """Download a version's checkpoint into `directory` (None: the newest).  Raises RegistryError."""
    master = os.environ.get("DET_MASTER", "the master")
    try:
        found = _resolve(Determined().get_model(model), model, version)
        number, checkpoint = int(found.model_version), str(found.checkpoint.uuid)
        found.checkpoint.download(path=str(directory))
    except NotFoundException as error:
        wanted = f"{model} version {version}" if version else model
        raise RegistryError(f"{master} has no {wanted}; see `det model list` or run make register") from error
    except UnauthenticatedException as error:
        raise RegistryError(f"{master} refuses the user; set DET_USER and DET_PASS") from error
    except (MasterNotFoundException, requests.ConnectionError) as error:
        raise RegistryError(f"{master} does not answer; set DET_MASTER, or run make up") from error
    except (CheckpointStateException, MultipleDownloadsFailed, OSError) as error:
        raise RegistryError(f"the checkpoint of {model} cannot be downloaded: {error}") from error
    except (APIException, BadRequestException) as error:
        raise RegistryError(f"{master}: {error}") from error
    return Registered(number, checkpoint, verified(directory / "serving"))


def verified(serving: Path) -> Artifact:
    """Check a downloaded `serving/` as the wrapper will: checksums, format, signature.  Raises RegistryError."""
    try:
        artifact = read_artifact(serving)
        with _quiet():
            Classifier(artifact.model)
    except ModelError as error:
        raise RegistryError(f"the checkpoint cannot be served: {error}") from error
    return artifact


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep LiteRT's native greeting off the terminal; what goes wrong comes as an exception."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _resolve(registry: Any, model: str, version: int | None) -> Any:
    if registry.archived:
        raise RegistryError(f"{model} is archived; unarchive it, or register the checkpoint under another model")
    found = registry.get_version(version or -1)
    if found is None:
        raise RegistryError(f"{model} has no version yet; run make register")
    return found
