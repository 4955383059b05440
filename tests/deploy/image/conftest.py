"""A container registry with a storage of its own for buildah, found by the variables that a CI job sets."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from unittest import mock

import pytest

from deploy.release import programs
from deploy.release.errors import BuildError
from localcluster.settings import HOST
from tests.deploy.image import debian
from tests.deploy.image.container_registry import ContainerRegistry, program

PROGRAMS = ("buildah", "skopeo")


@pytest.fixture(scope="session")
def running_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerRegistry]:
    """The registry, empty."""
    skip_without(*PROGRAMS)
    if os.geteuid() != 0:
        pytest.skip("buildah with chroot isolation and mounts needs root")
    try:
        program()
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"docker-registry is not installed, and its package cannot be had: {error}")
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        running = ContainerRegistry(tmp_path_factory.mktemp("registry"), int(probe.getsockname()[1]))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def container_registry(running_registry: ContainerRegistry) -> Iterator[ContainerRegistry]:
    """The registry, and the variables by which a CI job finds it; only for the tests that ask for it."""
    with mock.patch.dict(os.environ, running_registry.environment):
        os.environ["STORAGE_DRIVER"] = fastest_storage()
        yield running_registry
        programs.run("buildah", "rm", "--all")


@pytest.fixture(scope="module")
def python_base(container_registry: ContainerRegistry) -> Iterator[str]:
    """A Python image by digest, in the registry, and what the Dockerfiles are built on."""
    skip_without("debootstrap", "ip", "nsenter", "setpriv", "unshare")
    base = debian.push(f"{container_registry.address}/library/python:3.11")
    with mock.patch.dict(os.environ, {"BASE": base}):
        yield base


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
