"""The contract with pachd: against a fresh local one, or against the one that PACH_CONTRACT_CONFIG (a file) names."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pachyderm_sdk.errors import AuthServiceNotActivated

from tests.contract.pachyderm.helpers import Pipelines
from tests.contract.pachyderm.mistakes import Mistakes
from tests.contract.pachyderm.pachd import LocalPachd


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The genuine SDK's client."""
    if config := os.environ.get("PACH_CONTRACT_CONFIG"):
        yield Client.from_config(config)
        return
    pachd = LocalPachd(tmp_path_factory.mktemp("pachd"))
    pachd.start()
    try:
        yield pachd.client()
    finally:
        pachd.stop()


@pytest.fixture(scope="session")
def mistakes(client: Client) -> Iterator[Mistakes]:
    """One project for all calls that are refused: none of them changes anything."""
    made = Mistakes(client)
    yield made
    made.delete()


@pytest.fixture
def repo(client: Client) -> Iterator[pfs.Repo]:
    """An empty repo of the test's own."""
    name = pfs.Repo.from_uri(f"contract-{uuid.uuid4().hex[:12]}")
    client.pfs.create_repo(repo=name)
    yield name
    client.pfs.delete_repo(repo=name, force=True)


@pytest.fixture
def master(repo: pfs.Repo) -> pfs.Branch:
    """Its branch master, which does not exist yet."""
    return pfs.Branch(repo=repo, name="master")


@pytest.fixture
def pipelines(client: Client, repo: pfs.Repo) -> Iterator[Pipelines]:
    """Makes pipelines, which go before the test's repo does."""
    made = Pipelines(client)
    yield made
    made.delete()


@pytest.fixture
def with_auth(client: Client) -> None:
    """Leaves out a test of tokens where the pachd asks for none."""
    try:
        client.auth.who_am_i()
    except AuthServiceNotActivated:
        pytest.skip("auth is not activated in this pachd")
