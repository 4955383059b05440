"""Who may call what: tokens, passwords, and how far a trial's token reaches."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from determined.common import api
from determined.common.api import authentication, bindings, errors

from localcluster.determined import access
from localcluster.determined.routes import ROUTES
from localcluster.determined.state import users
from localcluster.determined.state.database import Database

from .conftest import Cluster, eventually

pytestmark = pytest.mark.xdist_group("determined-access")
ELSEWHERE = "99999"
CALLS = [(method, route.path) for route in ROUTES for method in sorted(route.methods or ()) if method != "HEAD"]
OF_EVERYBODY = {("GET", "/api/v1/me"), ("GET", "/api/v1/master")}
BY_BODY = {("POST", "/api/v1/checkpoints"), ("PATCH", "/api/v1/checkpoints"), ("POST", "/api/v1/runs/start")}
"""Calls that name what they change in their body."""


def filled(path: str) -> str:
    """A route's path with parameters that name nothing of one's own."""
    return re.sub(r"\{[^}]*\}", ELSEWHERE, path)


def test_every_call_but_the_public_ones_wants_a_token(cluster: Cluster) -> None:
    for method, route in CALLS:
        if (method, route) in access.PUBLIC:
            continue
        status, body = cluster.request(method, filled(route))
        assert (status, body["error"]["code"]) == (401, 16), (method, route)
        assert cluster.request(method, filled(route), Authorization="Bearer forged")[0] == 401
        forged = {"Grpc-Metadata-x-allocation-token": "Bearer forged"}
        assert cluster.request(method, filled(route), **forged)[0] == 401


@pytest.fixture(scope="module")
def running(cluster: Cluster, session: api.Session) -> Iterator[dict[str, str]]:
    """The environment of a running trial's agent."""
    experiment = cluster.create(session, hyperparameters={"steps": 5000, "pause": 0.2})
    wanted = str(cluster.trial(session, experiment).id)

    def look() -> dict[str, str] | None:
        for allocation in cluster.allocations():
            try:
                content = Path(f"/proc/{(allocation / 'pid').read_text()}/environ").read_text()
            except OSError:
                continue
            environment = dict(line.split("=", 1) for line in content.split("\0") if line)
            if environment.get("DET_TRIAL_ID") == wanted:
                return environment
        return None

    found = eventually(look, "the trial's agent runs")
    cluster.wait_for_log(session, int(wanted), "finished step 1")
    yield found
    bindings.post_KillExperiment(session, id=experiment)
    cluster.wait(session, experiment)


@pytest.mark.slow
def test_a_trials_token_opens_its_own_trial_only(
    cluster: Cluster, session: api.Session, running: dict[str, str], finished: int
) -> None:
    token = {"Grpc-Metadata-x-allocation-token": f"Bearer {running['DET_SESSION_TOKEN']}"}
    for method, route in CALLS:
        if (method, route) in access.PUBLIC | BY_BODY:
            continue
        expected = 200 if (method, route) in OF_EVERYBODY else 403
        assert cluster.request(method, filled(route), {}, **token)[0] == expected, (method, route)
    other = cluster.trial(session, finished)
    checkpoint = bindings.get_GetExperimentCheckpoints(session, id=finished).checkpoints[0].uuid
    assert cluster.request("GET", f"/api/v1/trials/{running['DET_TRIAL_ID']}", **token)[0] == 200
    assert cluster.request("GET", f"/api/v1/trials/{other.id}", **token)[0] == 403
    assert cluster.request("GET", f"/api/v1/checkpoints/{checkpoint}", **token)[0] == 403
    assert cluster.request("GET", f"/checkpoints/{checkpoint}", **token)[0] == 403
    assert cluster.request("POST", "/api/v1/runs/start", {"runId": other.id}, **token)[0] == 403
    change = {"checkpoints": [{"uuid": checkpoint, "resources": {"resources": {}}}]}
    assert cluster.request("PATCH", "/api/v1/checkpoints", change, **token)[0] in (403, 404)


def test_a_users_token_does_not_speak_for_a_trial(
    cluster: Cluster, session: api.Session, running: dict[str, str]
) -> None:
    bearer = {"Authorization": f"Bearer {session.token}"}
    path = f"/api/v1/allocations/{running['DET_ALLOCATION_ID']}/signals/ack_preemption"
    assert cluster.request("POST", path, {}, **bearer)[0] == 403


def test_no_secret_is_logged(cluster: Cluster, session: api.Session, running: dict[str, str]) -> None:
    with pytest.raises(errors.UnauthenticatedException):
        authentication.login(cluster.url, "determined", "my secret guess")
    text = (cluster.home.parent / "master.log").read_text() + cluster.logs(session, int(running["DET_TRIAL_ID"]))
    guessed = authentication.salt_and_hash("my secret guess")
    for secret in (cluster.password, session.token, running["DET_SESSION_TOKEN"], "my secret guess", guessed):
        assert secret not in text


@pytest.mark.parametrize("path", ["/api/v1/auth/login", "/login"])
def test_a_stranger_cannot_fill_the_memory(cluster: Cluster, path: str) -> None:
    sent = requests.post(cluster.url + path, json={"username": "x" * 20_000}, timeout=30)
    assert sent.status_code == 400
    assert "larger than 10000 bytes" in sent.text
    endless = (b" " * 1000 for _ in range(100))
    assert requests.post(cluster.url + path, data=endless, timeout=30).status_code == 400


def test_checking_a_password_leaves_the_event_loop_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = Database(tmp_path / "master.sqlite")
    users.ensure_initial(db, "secret")
    looped = threading.Event()
    monkeypatch.setattr(users, "_matches", lambda *_: looped.wait(10))

    async def both() -> None:
        login = asyncio.create_task(users.login(db, "determined", ""))
        await asyncio.sleep(0)
        looped.set()
        await login

    asyncio.run(both())
    db.close()


def test_an_expired_token_is_refused(cluster: Cluster) -> None:
    session = cluster.session()
    assert bindings.get_GetMe(session).user.username == "determined"
    with closing(sqlite3.connect(cluster.home / "determined" / "master.sqlite", timeout=10)) as db, db:
        db.execute("UPDATE tokens SET expires_at = '2000' WHERE hash = ?", (users.token_hash(session.token),))
    with pytest.raises(errors.UnauthenticatedException):
        bindings.get_GetMe(session)


def test_passwords_and_tokens_are_stored_hashed(cluster: Cluster, session: api.Session) -> None:
    content = b"".join(path.read_bytes() for path in (cluster.home / "determined").glob("master.sqlite*"))
    assert b"$argon2id$" in content
    assert session.token.encode() not in content
    assert cluster.password.encode() not in content
    assert authentication.salt_and_hash(cluster.password).encode() not in content


@pytest.mark.slow
def test_a_changed_password_ends_the_old_one_and_its_sessions(cluster: Cluster, session: api.Session) -> None:
    admin = authentication.login(cluster.url, "admin", cluster.password)
    me = bindings.get_GetMe(admin).user
    cluster.det("user", "change-password", environment={"DET_USER": "admin"}, typed="Second1234\nSecond1234\n")
    with pytest.raises(errors.UnauthenticatedException):
        bindings.get_GetMe(admin)
    with pytest.raises(errors.UnauthenticatedException):
        authentication.login(cluster.url, "admin", cluster.password)
    back = bindings.v1PatchUser(password=cluster.password, isHashed=False)
    with pytest.raises(errors.ForbiddenException, match="admin"):
        bindings.patch_PatchUser(session, userId=me.id, body=back)
    bindings.patch_PatchUser(authentication.login(cluster.url, "admin", "Second1234"), userId=me.id, body=back)
    authentication.login(cluster.url, "admin", cluster.password)


def test_nothing_of_a_user_but_the_password_changes(cluster: Cluster, session: api.Session) -> None:
    me = bindings.get_GetMe(session).user
    with pytest.raises(errors.APIException, match="displayName is not served"):
        bindings.patch_PatchUser(session, userId=me.id, body=bindings.v1PatchUser(displayName="Ada"))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/experiments/3", True),
        ("GET", "/api/v1/experiments/33", False),
        ("GET", "/api/v1/experiments/3/trials", False),
        ("POST", "/api/v1/trials/7/metrics", True),
        ("POST", "/api/v1/trials/77/metrics", False),
        ("POST", "/api/v1/trials/7/kill", False),
        ("GET", "/api/v1/allocations/1.abc.2/signals/preemption", True),
        ("GET", "/api/v1/allocations/1xabc.2/signals/preemption", False),
        ("GET", "/api/v1/tasks/1.abc/context_directory", True),
        ("DELETE", "/api/v1/trials/7", False),
    ],
)
def test_what_a_trials_token_reaches(method: str, path: str, allowed: bool) -> None:
    own = {"id": "1.abc.2", "trial_id": 7, "experiment_id": 3, "task_id": "1.abc"}
    assert access.reaches(own, method, path) is allowed
