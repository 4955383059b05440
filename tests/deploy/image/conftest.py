"""A container registry with a storage of its own for buildah, found by the variables that a CI job sets."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from unittest import mock

import pytest

from deploy.release import programs
from deploy.release.errors import BuildError
from localcluster.settings import HOST
from tests.deploy.image.container_registry import ContainerRegistry

PROGRAMS = ("buildah", "skopeo", "docker-registry")


@pytest.fixture(scope="session")
def container_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerRegistry]:
    """The registry, empty."""
    skip_without(*PROGRAMS)
    if os.geteuid() != 0:
        pytest.skip("buildah with chroot isolation and mounts needs root")
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        running = ContainerRegistry(tmp_path_factory.mktemp("registry"), int(probe.getsockname()[1]))
    with mock.patch.dict(os.environ, running.environment):
        try:
            running.start()
            os.environ["STORAGE_DRIVER"] = fastest_storage()
            yield running
            programs.run("buildah", "rm", "--all")
        finally:
            running.stop()


def skip_without(*names: str) -> None:
    """Skip the test where a program is missing, saying which."""
    missing = [each for each in names if shutil.which(each) is None]
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)} (requirements/packages.sh installs them as root)")


def fastest_storage() -> str:
    """Overlay where this machine can mount it, since vfs copies every layer."""
    try:
        with mock.patch.dict(os.environ, {"STORAGE_DRIVER": "overlay"}):
            container = programs.run("buildah", "from", "scratch").strip()
            programs.run("buildah", "mount", container)
            programs.run("buildah", "rm", container)
    except BuildError:
        return "vfs"
    return "overlay"
