"""Who may call what: tokens, passwords, and how far a trial's token reaches."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from determined.common import api
from determined.common.api import authentication, bindings, errors

from localcluster.determined import access
from localcluster.determined.routes import ROUTES
from localcluster.determined.state.users import token_hash

from .conftest import Cluster


def test_every_call_but_the_public_ones_wants_a_token(cluster: Cluster) -> None:
    for route in ROUTES:
        path = route.path.replace("{id}", "1").replace("{label:path}", "x")
        for method in (route.methods or set()) - {"HEAD"}:
            if (method, route.path) in access.PUBLIC:
                continue
            status, body = cluster.request(method, path)
            assert (status, body["error"]["code"]) == (401, 16), (method, path)
            assert cluster.request(method, path, Authorization="Bearer forged")[0] == 401


def test_an_expired_token_is_refused(cluster: Cluster) -> None:
    session = cluster.session()
    assert bindings.get_GetMe(session).user.username == "determined"
    with closing(sqlite3.connect(cluster.home / "determined" / "master.sqlite", timeout=10)) as db, db:
        db.execute("UPDATE tokens SET expires_at = '2000' WHERE hash = ?", (token_hash(session.token),))
    with pytest.raises(errors.UnauthenticatedException):
        bindings.get_GetMe(session)


def test_passwords_and_tokens_are_stored_hashed(cluster: Cluster, session: api.Session) -> None:
    content = b"".join(path.read_bytes() for path in (cluster.home / "determined").glob("master.sqlite*"))
    assert b"$argon2id$" in content
    assert session.token.encode() not in content
    assert cluster.password.encode() not in content
    assert authentication.salt_and_hash(cluster.password).encode() not in content


def test_a_changed_password_ends_the_old_one_and_its_sessions(cluster: Cluster) -> None:
    admin = authentication.login(cluster.url, "admin", cluster.password)
    bindings.post_PostUser(
        admin,
        body=bindings.v1PostUserRequest(
            user=bindings.v1User(username="ada", admin=False, active=True),
            password=authentication.salt_and_hash("First1234"),
            isHashed=True,
        ),
    )
    ada = authentication.login(cluster.url, "ada", "First1234")
    me = bindings.get_GetMe(ada).user
    assert me.id
    change = bindings.v1PatchUser(password=authentication.salt_and_hash("Second1234"), isHashed=True)
    bindings.patch_PatchUser(ada, userId=me.id, body=change)
    with pytest.raises(errors.UnauthenticatedException):
        bindings.get_GetMe(ada)
    with pytest.raises(errors.ForbiddenException):
        authentication.login(cluster.url, "ada", "First1234")
    ada = authentication.login(cluster.url, "ada", "Second1234")
    with pytest.raises(errors.ForbiddenException):
        bindings.patch_PatchUser(ada, userId=me.id, body=bindings.v1PatchUser(admin=True))


OWN = {"id": "1.abc.2", "trial_id": 7, "experiment_id": 3, "task_id": "1.abc"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/experiments/3", True),
        ("GET", "/api/v1/experiments/33", False),
        ("GET", "/api/v1/experiments", False),
        ("POST", "/api/v1/experiments", False),
        ("POST", "/api/v1/experiments/3/kill", False),
        ("POST", "/api/v1/trials/7/metrics", True),
        ("POST", "/api/v1/trials/8/metrics", False),
        ("POST", "/api/v1/trials/7/kill", False),
        ("GET", "/api/v1/allocations/1.abc.2/signals/preemption", True),
        ("GET", "/api/v1/allocations/1xabc.2/signals/preemption", False),
        ("GET", "/api/v1/tasks/1.abc/context_directory", True),
        ("GET", "/api/v1/tasks/2.abc/context_directory", False),
        ("POST", "/api/v1/checkpoints", True),
        ("DELETE", "/api/v1/checkpoints", False),
        ("GET", "/api/v1/users", False),
        ("PATCH", "/api/v1/users/1", False),
        ("POST", "/api/v1/models", False),
    ],
)
def test_a_trials_token_reaches_its_own_trial_only(method: str, path: str, allowed: bool) -> None:
    assert access.reaches(OWN, method, path) is allowed
