"""The server's edge: what is not served, who is let in, and the clients' configuration."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from localcluster.errors import LocalClusterError
from localcluster.pachyderm import service
from localcluster.pachyderm.servicer import server
from localcluster.pachyderm.servicer.calls import CALLS
from localcluster.pachyderm.state.store import Store
from tests.contract.pachyderm.helpers import refused
from tests.contract.pachyderm.pachd import LocalPachd


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPachd]:
    """A pachd that no test of this module kills."""
    pachd = LocalPachd(tmp_path_factory.mktemp("server"))
    pachd.start()
    yield pachd
    pachd.kill()


def test_what_is_not_served_names_the_call(shared: LocalPachd) -> None:
    client = shared.client()
    commit = pfs.Commit.from_uri("data@master")
    for call, name in [
        (lambda: client.pfs.egress(commit=commit), "pfs_v2.API/Egress"),
        (lambda: client.pps.list_secret(), "pps_v2.API/ListSecret"),
        (client.transaction.start_transaction, "transaction_v2.API/StartTransaction"),
        (lambda: client.auth.get_robot_token(robot="r"), "auth_v2.API/GetRobotToken"),
    ]:
        with refused(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not served by the local cluster's pachd"):
            call()


def test_parts_that_are_not_served_name_the_call(shared: LocalPachd) -> None:
    client = shared.client()
    branch = pfs.Branch.from_uri("parts@master")
    client.pfs.create_repo(repo=branch.repo)
    with client.pfs.commit(branch=branch) as commit:
        for url in ("s3://bucket/a", "file:///etc/passwd"):
            with refused(grpc.StatusCode.UNIMPLEMENTED, f"pfs_v2.API/ModifyFile: putting a file from '{url}'"):
                commit.put_file_from_url(path="/a", url=url)
        with refused(grpc.StatusCode.UNIMPLEMENTED, "pfs_v2.API/GetFile: writing to a URL"):
            list(client.pfs.get_file(file=pfs.File(commit=commit, path="/a"), url="s3://bucket/a"))
    with refused(grpc.StatusCode.UNIMPLEMENTED, "pfs_v2.API/CreateBranch: branch triggers"):
        client.pfs.create_branch(branch=branch, trigger=pfs.Trigger(branch="x", size="1K"))
    other = pfs.Branch.from_uri("elsewhere@master")
    client.pfs.create_repo(repo=other.repo)
    client.pfs.create_branch(branch=other)
    for parent in (commit, pfs.Commit(repo=branch.repo, branch=branch)):
        with refused(
            grpc.StatusCode.UNIMPLEMENTED, f"pfs_v2.API/StartCommit: a parent in another repo, {commit.as_uri()}"
        ):
            client.pfs.start_commit(branch=other, parent=parent)


def test_a_subscription_ends_with_its_repo(shared: LocalPachd) -> None:
    client = shared.client()
    branch = pfs.Branch.from_uri("passing@master")
    client.pfs.create_repo(repo=branch.repo)
    client.pfs.create_branch(branch=branch)
    timer = threading.Timer(1, client.pfs.delete_repo, kwargs={"repo": branch.repo, "force": True})
    timer.start()
    with refused(grpc.StatusCode.NOT_FOUND, "not found"):
        for info in client.pfs.subscribe_commit(repo=branch.repo, branch="master"):
            assert info.commit.repo.name == "passing"
    timer.join()


def test_what_a_client_gets_wrong_is_no_defect(shared: LocalPachd) -> None:
    client = shared.client()
    branch = pfs.Branch.from_uri("wrong@master")
    client.pfs.create_repo(repo=branch.repo)
    with client.pfs.commit(branch=branch) as commit:
        commit.put_file_from_bytes("/a", b"1")
        with refused(grpc.StatusCode.UNKNOWN, 'parse "http://[::1":'):
            commit.put_file_from_url(path="/b", url="http://[::1")
    with refused(grpc.StatusCode.UNKNOWN, "offset cannot be negative"):
        list(client.pfs.get_file(file=pfs.File(commit=commit, path="/a"), offset=-1))
    with refused(grpc.StatusCode.INVALID_ARGUMENT, '(line 1:31): invalid value for enum type: "no"'):
        client.pps.create_pipeline_v2(create_pipeline_request_json='{"tolerations": [{"operator": "no"}]}')


def test_only_version_and_health_are_open(shared: LocalPachd) -> None:
    stranger = Client.from_pachd_address(shared.address)
    assert stranger.get_version().major == 2
    assert service.ready(shared.settings)
    assert {call.name for call in CALLS if call.open} == {"versionpb_v2.API/GetVersion", "grpc.health.v1.Health/Check"}
    with grpc.insecure_channel(shared.address) as channel:
        for call in CALLS:
            if call.open:
                continue
            for metadata in ((), (("authn-token", "wrong"),)):
                answer = channel.stream_stream(f"/{call.name}", bytes, bytes)(iter([b""]), metadata=metadata)
                with refused(grpc.StatusCode.UNAUTHENTICATED, "try logging in"):
                    list(answer)


def test_an_empty_message_is_the_clients_mistake_and_no_crash(shared: LocalPachd) -> None:
    token = (("authn-token", service.token(shared.settings)),)
    codes = {}
    with grpc.insecure_channel(shared.address) as channel:
        for call in CALLS:
            answer = channel.stream_stream(f"/{call.name}", bytes, bytes)(iter([b""]), metadata=token, timeout=20)
            with suppress(grpc.RpcError):
                list(answer)
            codes[call.method] = answer.code()
    refusals = ("INVALID_ARGUMENT", "NOT_FOUND", "UNKNOWN", "UNIMPLEMENTED")
    assert set(codes.values()) <= {grpc.StatusCode.OK, *(grpc.StatusCode[name] for name in refusals)}, codes
    assert "Traceback" not in shared.log


def test_a_defect_is_said_to_be_one(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by nought")

    call = next(call for call in CALLS if call.method == "GetVersion")
    monkeypatch.setattr(server, "CALLS", [replace(call, handler=broken)])
    address = f"127.0.0.1:{free_port()}"
    pachd = server.serve(Store(tmp_path), "token", address)
    try:
        with refused(grpc.StatusCode.INTERNAL, "a defect of pachd, ZeroDivisionError: by nought; its log has more"):
            Client.from_pachd_address(address).get_version()
    finally:
        pachd.stop(None).wait()
    assert "Traceback" in caplog.text


def test_the_configuration_is_the_clients_own(tmp_path: Path) -> None:
    pachd = LocalPachd(tmp_path)
    environment = service.client_environment(pachd.settings)
    path = Path(environment["PACH_CONFIG"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    context = json.loads(path.read_text())["v2"]["contexts"]["local"]
    assert context["pachd_address"] == f"grpc://{pachd.address}"
    assert context["session_token"] == service.token(pachd.settings)
    assert Client.from_config(path).address == pachd.address


@pytest.mark.parametrize("torn", ["", '{"v2": {', "[]", '{"v2": {"contexts": {}}}'])
def test_a_configuration_that_a_client_has_torn_is_made_anew(tmp_path: Path, torn: str) -> None:
    pachd = LocalPachd(tmp_path)
    path = Path(service.client_environment(pachd.settings)["PACH_CONFIG"])
    whole = path.read_text()
    path.write_text(torn)
    service.prepare(pachd.settings)
    assert path.read_text() == whole


def test_what_pachctl_adds_to_the_configuration_stays(tmp_path: Path) -> None:
    pachd = LocalPachd(tmp_path)
    service.prepare(pachd.settings)
    config = json.loads(pachd.config.read_text())
    config["v2"]["contexts"]["local"] |= {"cluster_deployment_id": "known", "project": "mine"}
    pachd.config.write_text(json.dumps(config))
    service.prepare(pachd.settings)
    assert json.loads(pachd.config.read_text()) == config


def test_a_second_pachd_on_the_same_state_refuses(shared: LocalPachd) -> None:
    with pytest.raises(LocalClusterError, match="another pachd uses"):
        Store(shared.state)


def test_a_terminated_pachd_exits_cleanly_and_keeps_its_identity(tmp_path: Path) -> None:
    pachd = LocalPachd(tmp_path / "home with a space")
    pachd.start()
    before = pachd.client().admin.inspect_cluster().deployment_id
    assert pachd.stop() == 0
    pachd.start()
    assert pachd.client().admin.inspect_cluster().deployment_id == before
    assert pachd.stop() == 0
