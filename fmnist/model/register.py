"""`python -m fmnist.model.register`: the checkpoint of build/train.json becomes a version of the registered model."""

from __future__ import annotations

import sys

from determined.experimental.client import ModelVersion

from fmnist import artifacts, registry
from fmnist.command import det
from fmnist.errors import FmnistError, RegistryError


def main() -> int:
    """Register the checkpoint unless it is registered already; write build/model.json."""
    try:
        checkpoint_uuid = str(artifacts.read(artifacts.TRAIN, "make train")["checkpoint_uuid"])
        with registry.answering():
            version, is_new = register(registry.model_name(), checkpoint_uuid)
    except FmnistError as error:
        print(f"register: {error}", file=sys.stderr)
        return 1
    artifacts.write(
        artifacts.MODEL,
        {"model": version.model_name, "version": version.model_version, "checkpoint_uuid": checkpoint_uuid},
    )
    state = "registered" if is_new else "was registered before: no new version"
    print(f"checkpoint {checkpoint_uuid} {state}: {version.model_name} version {version.model_version}")
    return 0


def register(name: str, checkpoint_uuid: str) -> tuple[ModelVersion, bool]:
    """The version that holds the checkpoint, and whether it is new; creates the model the first time."""
    client = registry.connect()
    if registry.find_model(client, name) is None:
        described = ("--description", "Classifies 28x28 images of clothes into ten classes")
        det("model", "create", name, *(described if name == registry.MODEL_NAME else ()))
    elif (version := registry.version_of(client, name, checkpoint_uuid)) is not None:
        return version, False
    det("model", "register-version", name, checkpoint_uuid)
    version = registry.version_of(client, name, checkpoint_uuid)
    if version is None:
        raise RegistryError(f"{name} does not list checkpoint {checkpoint_uuid} after its registration")
    return version, True


if __name__ == "__main__":
    sys.exit(main())
