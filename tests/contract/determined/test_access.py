"""Login, logout, whoami, and how an unauthenticated call is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from determined.common import api
from determined.common.api import authentication, bindings, errors
from determined.experimental import client

from tests.contract.determined.target import Target


@pytest.mark.slow
def test_the_cli_remembers_who_is_logged_in(target: Target, tmp_path: Path) -> None:
    own = {"HOME": str(tmp_path)}
    assert target.username in target.det("user", "whoami", environment=own)
    assert json.loads((tmp_path / ".config" / "determined" / "auth.json").read_text())["masters"]
    assert target.username in target.det("user", "whoami", environment={**own, "DET_PASS": "not needed any more"})
    target.det("user", "logout", environment=own)
    refused = target.det("user", "whoami", code=1, environment={**own, "DET_PASS": "wrong"})
    assert "det user login" in refused


def test_wrong_credentials(target: Target) -> None:
    with pytest.raises(errors.UnauthenticatedException):
        authentication.login(target.url, target.username, target.password + "x")
    with pytest.raises(errors.UnauthenticatedException):
        authentication.login(target.url, "no such user", target.password)
    body = {"username": target.username, "password": "x", "isHashed": False}
    refused = target.request("POST", "/api/v1/auth/login", body).json()
    assert refused["error"]["error"] == "invalid credentials"
    assert target.request("POST", "/api/v1/auth/login", {"username": "", "password": ""}).status_code == 400


def test_the_password_may_be_sent_unhashed(target: Target) -> None:
    body = bindings.v1LoginRequest(username=target.username, password=target.password, isHashed=False)
    found = bindings.post_Login(api.UnauthSession(target.url, cert=None), body=body)
    assert found.user.username == target.username


def test_logout_ends_the_token(target: Target) -> None:
    session = authentication.login(target.url, target.username, target.password)
    assert client.Determined._from_session(session).whoami().username == target.username
    bindings.post_Logout(session)
    with pytest.raises(errors.UnauthenticatedException):
        bindings.get_GetMe(session)
    assert target.sdk.whoami().username == target.username


@pytest.mark.parametrize("token", ["", "forged"])
@pytest.mark.parametrize("path", ["me", "experiments", "models", "trials/1", "experiments/1/checkpoints"])
def test_no_call_without_a_token(target: Target, path: str, token: str) -> None:
    refused = target.request("GET", f"/api/v1/{path}", token=token)
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == 16


def test_everybody_may_ask_who_the_master_is(target: Target) -> None:
    found = target.request("GET", "/info", token="").json()
    assert {"version", "cluster_id", "master_id", "cluster_name"} <= set(found)
