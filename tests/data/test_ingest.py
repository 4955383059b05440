"""The ingest against a running pachd: one commit a split, none without a change, none when the stream breaks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from data import validated
from data.catalog import TEST
from data.errors import IngestError, SplitRefused
from data.ingest import connect, ingest
from localcluster.pachyderm import service
from localcluster.settings import Settings
from tests.conftest import idx


@pytest.fixture(scope="module")
def pachd(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Client]:
    """The genuine client of a pachd."""
    home = tmp_path_factory.mktemp("pachd")
    settings = Settings.from_environment(
        {"LOCALCLUSTER_HOME": str(home), "LOCALCLUSTER_PACHYDERM_PORT": str(free_port())}
    )
    service.prepare(settings)
    server = subprocess.Popen([sys.executable, "-m", "localcluster.pachyderm"], env=settings.environment())
    deadline = time.monotonic() + 30
    while not service.ready(settings):
        assert time.monotonic() < deadline, "pachd did not become ready within 30 s"
        time.sleep(0.05)
    yield Client.from_config(service.client_environment(settings)["PACH_CONFIG"])
    server.terminate()
    server.wait(30)


@pytest.fixture
def client(pachd: Client) -> Client:
    """The client of a pachd without repos."""
    for found in list(pachd.pfs.list_repo()):
        pachd.pfs.delete_repo(repo=found.repo)
    return pachd


def contents(seed: int) -> dict[str, bytes]:
    random = np.random.default_rng(seed)
    return {
        TEST.images.name: idx(random.integers(0, 256, (20, 28, 28), dtype=np.uint8)),
        TEST.labels.name: idx(random.integers(0, 10, 20, dtype=np.uint8)),
    }


def user_commits(client: Client) -> int:
    repo = pfs.Repo(name=TEST.repo)
    return len(list(client.pfs.list_commit(repo=repo, origin_kind=pfs.OriginKind.USER)))


def test_a_split_becomes_one_commit_and_again_none(client: Client) -> None:
    sent: list[int] = []
    first = ingest(client, TEST, contents(1), sent.append)
    assert first.created
    assert sum(sent) == first.size
    again = ingest(client, TEST, contents(1), sent.append)
    assert not again.created
    assert again.commit == first.commit
    assert user_commits(client) == 1


def test_a_change_becomes_another_commit_and_the_old_one_stays(client: Client) -> None:
    old = ingest(client, TEST, contents(1), lambda _: None)
    new = ingest(client, TEST, contents(2), lambda _: None)
    assert new.created
    for commit, seed in ((old.commit, 1), (new.commit, 2)):
        for name, content in contents(seed).items():
            with client.pfs.pfs_file(file=pfs.File.from_uri(f"{TEST.repo}@{commit}:/{name}")) as stream:
                assert stream.read() == content


@pytest.mark.timeout(60)
def test_a_stream_that_breaks_leaves_no_commit(client: Client) -> None:
    def break_off(_: int) -> None:
        raise OSError("the disk went away")

    with pytest.raises(IngestError):
        ingest(client, TEST, contents(1), break_off)
    assert user_commits(client) == 0


def test_an_open_head_is_refused_instead_of_waited_for(client: Client) -> None:
    branch = pfs.Branch.from_uri(f"{TEST.repo}@master")
    client.pfs.create_repo(repo=branch.repo)
    commit = client.pfs.start_commit(branch=branch)
    with pytest.raises(IngestError, match=f"pachctl finish commit {TEST.repo}@{commit.id}"):
        ingest(client, TEST, contents(1), lambda _: None)
    client.pfs.finish_commit(commit=commit)
    assert ingest(client, TEST, contents(1), lambda _: None).created


@pytest.mark.parametrize("report", [b"", b"[]", b'{"verdict": "failed"}'])
def test_a_split_whose_report_is_none_is_refused(client: Client, report: bytes) -> None:
    branch = pfs.Branch.from_uri("mine@master")
    client.pfs.create_repo(repo=branch.repo)
    with client.pfs.commit(branch=branch) as commit:
        for name, content in (("images.npy", b""), ("labels.npy", b""), ("report.json", report)):
            commit.put_file_from_bytes(f"/{name}", content)
    with pytest.raises(SplitRefused, match="did not pass"):
        validated.read(client, "mine@master")


def test_an_absent_server_is_named_with_what_to_do(free_port: Callable[[], int]) -> None:
    client = Client.from_pachd_address(f"grpc://127.0.0.1:{free_port()}")
    with pytest.raises(IngestError, match="make up"):
        ingest(client, TEST, contents(1), lambda _: None)


def test_an_absent_configuration_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    monkeypatch.setattr(Client.from_config.__func__, "__defaults__", (path,))
    with pytest.raises(IngestError, match="PACH_CONFIG"):
        connect()
    unknown_field = '{"v2": {"active_context": "x", "contexts": {"x": {"pachd_address": "grpc://h:1", "new": 1}}}}'
    for text in ("{", "[]", "{}", unknown_field):
        path.write_text(text)
        with pytest.raises(IngestError, match="PACH_CONFIG"):
            connect()
