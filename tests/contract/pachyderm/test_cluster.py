"""Version, identity, health, and who the caller is."""

from __future__ import annotations

import grpc
import pytest
from pachyderm_sdk import Client

from tests.contract.pachyderm.helpers import refused


def test_version(client: Client) -> None:
    version = client.get_version()
    assert (version.major, version.minor) == (2, 12)


def test_the_cluster_has_an_identity_that_stays(client: Client) -> None:
    info = client.admin.inspect_cluster()
    assert info.warnings_ok
    assert info.deployment_id
    assert client.admin.inspect_cluster().deployment_id == info.deployment_id


@pytest.mark.usefixtures("with_auth")
def test_who_am_i(client: Client) -> None:
    assert client.auth.who_am_i().username


@pytest.mark.usefixtures("with_auth")
def test_a_wrong_token_is_refused(client: Client) -> None:
    address = client.address
    for token, words in [
        ("wrong", "provided auth token is corrupted or has expired"),
        (None, "no authentication token"),
    ]:
        stranger = Client.from_pachd_address(address, auth_token=token)
        with refused(grpc.StatusCode.UNAUTHENTICATED, words):
            list(stranger.pfs.list_repo())
