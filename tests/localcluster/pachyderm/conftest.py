"""A store of the test's own, and a pachd process of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.pachyderm.state.store import Store
from tests.contract.pachyderm.pachd import LocalPachd
from tests.localcluster.pachyderm.project import Project


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def pachd(tmp_path: Path) -> Iterator[LocalPachd]:
    """A running pachd that the test may kill."""
    running = LocalPachd(tmp_path / "home")
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPachd]:
    """One pachd for the module."""
    pachd = LocalPachd(tmp_path_factory.mktemp("pachd"))
    pachd.start()
    yield pachd
    assert pachd.stop() == 0


@pytest.fixture
def project(running: LocalPachd) -> Project:
    """Repos and pipelines of the test's own."""
    return Project(running.client())
