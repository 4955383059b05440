"""The contract with Determined 0.38: what its users' clients rely on, asked of a master by those clients.

Without variables a fresh local master is started.  DET_CONTRACT_MASTER (an address), DET_CONTRACT_USER and
DET_CONTRACT_PASSWORD name a real one; the suite uses names of its own there and deletes what it made.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from determined.experimental import client

from tests.contract.determined.target import Target
from tests.localcluster.determined.cluster import Cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the suite on one worker, so that one master and one experiment serve all of it."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("determined-contract"))


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The master under test, logged in."""
    home = tmp_path_factory.mktemp("client")
    if url := os.environ.get("DET_CONTRACT_MASTER"):
        user = os.environ.get("DET_CONTRACT_USER", "determined")
        found = Target(url.rstrip("/"), user, os.environ.get("DET_CONTRACT_PASSWORD", ""), home)
        yield found
        found.close()
        return
    cluster = Cluster(tmp_path_factory.mktemp("determined") / "home")
    cluster.start()
    try:
        found = Target(cluster.url, "determined", cluster.password, home)
        yield found
        found.close()
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def experiment(target: Target) -> client.Experiment:
    """A completed experiment of two steps, both of whose checkpoints are kept."""
    found = target.create(name=f"contract-{uuid.uuid4().hex[:12]}")
    assert found.wait(interval=0.2) is client.ExperimentState.COMPLETED
    found.reload()
    return found


@pytest.fixture(scope="session")
def trial(experiment: client.Experiment) -> client.Trial:
    """Its only trial."""
    return experiment.await_first_trial()


@pytest.fixture(scope="session")
def checkpoints(experiment: client.Experiment) -> list[client.Checkpoint]:
    """Its checkpoints, by step."""
    found: list[client.Checkpoint] = experiment.list_checkpoints(
        sort_by=client.CheckpointSortBy.BATCH_NUMBER, order_by=client.OrderBy.ASC
    )
    return found


@pytest.fixture
def name() -> str:
    """A model's name that nobody has."""
    return f"Contract {uuid.uuid4().hex[:12]}"


@pytest.fixture
def model(target: Target, name: str) -> Iterator[client.Model]:
    """An empty model."""
    found = target.sdk.create_model(name)
    yield found
    target.request("DELETE", f"/api/v1/models/{found.model_id}")
