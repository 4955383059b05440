"""A master of its own in a temporary home, and the genuine CLI and SDK pointed at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from determined.common import api

from .cluster import DEADLINE, EXPERIMENT, REPOSITORY, Cluster, eventually

__all__ = ["DEADLINE", "EXPERIMENT", "REPOSITORY", "Cluster", "eventually"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One master for all tests that do not kill it; its home has a space in its path."""
    found = Cluster(tmp_path_factory.mktemp("determined") / "a home")
    found.start()
    yield found
    found.close()


@pytest.fixture(scope="session")
def session(cluster: Cluster) -> api.Session:
    return cluster.session()


@pytest.fixture(scope="session")
def finished(cluster: Cluster, session: api.Session) -> int:
    """A completed experiment of two steps, all of whose checkpoints are kept."""
    storage = {"save_trial_latest": 2}
    experiment = cluster.create(session, name="finished", checkpoint_storage=storage)
    assert cluster.wait(session, experiment) == "STATE_COMPLETED"
    return experiment


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A master that the test may kill."""
    found = Cluster(tmp_path / "home", slots=1)
    found.start()
    yield found
    found.close()
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
