"""`python -m deploy.release.images`: the images of the pipelines and of Determined's tasks (the target `make images`).

Both change with their lock or their code only, so most runs find them in the registry and build nothing.
"""

from __future__ import annotations

import os
import sys

from deploy.release import files, recipe
from deploy.release.errors import BuildError, ReleaseError

_PIPELINES = ("data/*.py", "pipelines/*.py", "pipelines/templates/*.j2", "pipelines/profiles/*.json")
"""What `.dockerignore` lets through of the folders that pipelines/Dockerfile copies."""

IMAGES = {
    "PIPELINES_IMAGE": (
        "fmnist-pipelines",
        recipe.Recipe("pipelines/Dockerfile", ("requirements/pipelines.txt", *_PIPELINES)),
    ),
    "TRIAL_IMAGE": ("fmnist-trial", recipe.Recipe("fmnist/Dockerfile", ("requirements/trial.txt",))),
}
"""The variable by which `make data` and `make train` are told: the image's name, and what it is made from."""

RECORD = files.BUILD / "images.env"


def main() -> int:
    """Print and write `VARIABLE=reference`; the exit code is 1 where something could not be done."""
    try:
        registry = os.environ.get("REGISTRY")
        if not registry:
            raise BuildError("REGISTRY is not set: name the container registry, as host[:port]/path")
        lines = [f"{variable}={_ensure(registry, *image)}\n" for variable, image in IMAGES.items()]
        files.write(RECORD, "".join(lines))
    except ReleaseError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    print("".join(lines), end="")
    return 0


def _ensure(registry: str, name: str, made_from: recipe.Recipe) -> str:
    return recipe.ensure(made_from, f"{recipe.repository(registry, name)}:{made_from.key()}")


if __name__ == "__main__":
    sys.exit(main())
