"""The model registry of Determined, through Determined's own SDK."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from determined.common import api
from determined.common.api import authentication, bindings, certs
from determined.common.api import errors as api_errors
from determined.errors import CheckpointStateException, MultipleDownloadsFailed
from determined.experimental import Determined
from determined.experimental.client import Checkpoint, Model, ModelVersion

from fmnist.errors import PlatformUnreachable, RegistryError

MODEL_NAME = "fashion-classifier"
FAULTS = (requests.RequestException, api_errors.BadRequestException)
"""What Determined's clients raise where the master does not answer, or refuses."""


def model_name() -> str:
    """The model that the stages speak of: `MODEL_NAME`, else this project's own."""
    return os.environ.get("MODEL_NAME") or MODEL_NAME


def session() -> authentication.api.Session:
    """A session of the API's generated bindings, for the few calls that the SDK has no method for."""
    address = _master()
    with answering():
        return authentication.login_with_cache(address, cert=certs.default_load(address))


def connect() -> Determined:
    """The SDK's client for the master that DET_MASTER names, logged in by DET_USER and DET_PASS or the cached token.

    Raises PlatformUnreachable.
    """
    _master()
    with answering():
        return Determined()


@contextmanager
def answering() -> Iterator[None]:
    """Around calls of Determined's clients: raises PlatformUnreachable for FAULTS."""
    try:
        yield
    except FAULTS as error:
        raise _unreachable(_master(), error) from error


def find_model(client: Determined, name: str) -> Model | None:
    """The registered model of that name, or None."""
    try:
        return client.get_model(name)
    except api_errors.NotFoundException:
        return None


def resolve_version(client: Determined, name: str, number: int | None = None) -> ModelVersion:
    """Version `number` of the model, or its newest one; raises RegistryError.

    An archived model is passed over unless the version is named.
    """
    model = find_model(client, name)
    if model is None:
        raise RegistryError(f"the registry has no model {name!r}: run make train and make register")
    if number is None and model.archived:
        raise RegistryError(f"model {name!r} is archived: set MODEL_VERSION, or `det model unarchive`")
    try:
        version = model.get_version(-1 if number is None else number)
    except api_errors.NotFoundException:
        version = None
    if version is None:
        known = ", ".join(str(entry.model_version) for entry in model.list_versions()) or "none"
        wanted = "any version" if number is None else f"version {number}"
        raise RegistryError(f"model {name!r} does not have {wanted} (registered: {known}): run make register")
    return version


def version_of(client: Determined, name: str, checkpoint_uuid: str) -> ModelVersion | None:
    """The newest version of the model that holds the checkpoint, or None."""
    model = find_model(client, name)
    for version in model.list_versions() if model else ():
        if version.checkpoint is not None and version.checkpoint.uuid == checkpoint_uuid:
            return version
    return None


def versions(name: str) -> list[bindings.v1ModelVersion]:
    """All versions of the model, with the times that the SDK's own class leaves out."""

    def page(offset: int) -> bindings.v1GetModelVersionsResponse:
        return bindings.get_GetModelVersions(here, modelName=name, offset=offset)

    here = session()
    return [version for answer in api.read_paginated(page) for version in answer.modelVersions]


def download(checkpoint: Checkpoint, folder: Path) -> Path:
    """The checkpoint's files, in a new folder below `folder`; raises RegistryError where they are gone."""
    try:
        return Path(checkpoint.download(str(folder / checkpoint.uuid)))
    except (CheckpointStateException, MultipleDownloadsFailed, OSError) as error:
        raise RegistryError(f"checkpoint {checkpoint.uuid} cannot be downloaded: {error}") from error


def merge_metadata(version: ModelVersion, additions: Mapping[str, Any]) -> None:
    """Add top-level keys to the version's metadata; the API replaces the whole, so what is there is sent again."""
    version.reload()
    metadata = {**(version.metadata or {}), **additions}
    bindings.patch_PatchModelVersion(
        session(),
        body=bindings.v1PatchModelVersion(metadata=metadata),
        modelName=version.model_name,
        modelVersionNum=version.model_version,
    )


def _unreachable(address: str, error: Exception) -> PlatformUnreachable:
    if isinstance(error, api_errors.UnauthenticatedException | api_errors.ForbiddenException):
        return PlatformUnreachable(
            f"Determined at {address} refuses the login; set DET_USER and DET_PASS, locally, also after make reset, "
            'by: eval "$(python -m localcluster env)"'
        )
    return PlatformUnreachable(f"Determined at {address}: {error}; is it up (make status)?")


def _master() -> str:
    address = os.environ.get("DET_MASTER")
    if not address:
        raise PlatformUnreachable('DET_MASTER is not set: eval "$(python -m localcluster env)", or name your cluster')
    return address
