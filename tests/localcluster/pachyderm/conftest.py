"""A store of the test's own, and a pachd process of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.pachyderm.state.store import Store
from tests.contract.pachyderm.pachd import LocalPachd


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
