"""kill -9 of the server and of its clients at any moment: what was acknowledged is there, the rest is not."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from localcluster.pachyderm.state.store import Store
from localcluster.settings import REPOSITORY
from tests.contract.pachyderm.pachd import LocalPachd
from tests.localcluster.pachyderm.project import wait_until

BRANCH = pfs.Branch.from_uri("data@master")

DYING_CLIENT = """
import os, signal, sys, threading
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

client = Client.from_config(sys.argv[1])
kept = int(sys.argv[2])

def requests():
    yield pfs.ModifyFileRequest(set_commit=pfs.Commit.from_uri(sys.argv[3]))
    yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/file"))
    for number in range(kept):
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/file", raw=b"torn" * 5000))
    list(client.pfs.list_repo())  # Its answer comes over the same connection: what was sent before it has arrived.
    print("sent", flush=True)
    threading.Event().wait()

client.pfs.modify_file(requests())
"""

pytestmark = pytest.mark.slow


def _file(client: Client) -> bytes:
    content: bytes = client.pfs.pfs_file(pfs.File.from_uri("data@master:/file")).read()
    return content


def _has_noticed(pachd: LocalPachd, deaths: int) -> bool:
    return pachd.log.count("nothing was changed") == deaths


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_client_killed_in_mid_stream_leaves_nothing(pachd: LocalPachd, chunks: int) -> None:
    client = pachd.client()
    client.pfs.create_repo(repo=BRANCH.repo)
    with client.pfs.commit(branch=BRANCH) as commit:
        commit.put_file_from_bytes("/file", b"whole")
    open_commit = client.pfs.start_commit(branch=BRANCH)
    for number, target in enumerate(("data@master", open_commit.as_uri())):
        writer = subprocess.Popen(
            [sys.executable, "-c", DYING_CLIENT, str(pachd.config), str(chunks), target],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
        )
        assert writer.stdout
        assert writer.stdout.readline() == b"sent\n"
        if chunks:
            wait_until(lambda: any((pachd.state / "uploads").iterdir()), "the upload to begin")
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        writer.stdout.close()
        wait_until(partial(_has_noticed, pachd, number + 1), "the server to notice")
        assert not any((pachd.state / "uploads").iterdir())
        assert _file(client) == b"whole"
    client.pfs.finish_commit(commit=open_commit)
    assert _file(client) == b"whole"
    assert len(list(client.pfs.list_commit(repo=BRANCH.repo))) == 2
    assert "Traceback" not in pachd.log


def test_a_cancelled_stream_never_takes_effect(pachd: LocalPachd) -> None:
    client = pachd.client()
    client.pfs.create_repo(repo=BRANCH.repo)
    channel = grpc.insecure_channel(pachd.address)
    token = (("authn-token", client.auth_token),)
    modify = channel.stream_unary("/pfs_v2.API/ModifyFile", bytes, bytes)
    for size in (0, 1, 100_000):
        for _ in range(20):
            sent = threading.Event()
            release = threading.Event()

            def requests(
                size: int = size, sent: threading.Event = sent, release: threading.Event = release
            ) -> Iterator[pfs.ModifyFileRequest]:
                yield pfs.ModifyFileRequest(set_commit=pfs.Commit.from_uri("data@master"))
                yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/torn", raw=bytes(size)))
                sent.set()
                release.wait(20)

            call = modify.future(requests(), metadata=token)
            assert sent.wait(20)
            call.cancel()  # type: ignore[no-untyped-call]
            release.set()
    channel.close()
    wait_until(partial(_has_noticed, pachd, 60), "the server to notice all")
    assert list(client.pfs.list_commit(repo=BRANCH.repo)) == []


def test_an_open_commit_goes_on_after_a_restart(pachd: LocalPachd) -> None:
    client = pachd.client()
    client.pfs.create_repo(repo=BRANCH.repo)
    commit = client.pfs.start_commit(branch=BRANCH)
    client.pfs.put_file_from_bytes(commit=commit, path="/before", data=b"1")
    pachd.kill()
    pachd.start()
    client = pachd.client()
    assert client.pfs.inspect_commit(commit=commit).finished.timestamp() == 0
    client.pfs.put_file_from_bytes(commit=commit, path="/after", data=b"2")
    client.pfs.finish_commit(commit=commit)
    listed = client.pfs.list_file(file=pfs.File.from_uri("data@master:/"))
    assert [info.file.path for info in listed] == ["/after", "/before"]


def _write_until_killed(client: Client, sent: dict[str, str], acknowledged: set[str], seed: int) -> None:
    """Commit files of random sizes; a file is acknowledged once its commit's finish has returned."""
    draw = random.Random(seed)
    number = 0
    while True:
        path = f"/{seed}-{number}"
        number += 1
        data = draw.randbytes(draw.choice([0, 10, 5_000, 3_000_000]))
        sent[path] = hashlib.blake2b(data).hexdigest()
        try:
            with client.pfs.commit(branch=BRANCH) as commit:
                commit.put_file_from_bytes(path, data)
        except (grpc.RpcError, ConnectionError):
            return
        acknowledged.add(path)


def _finish_what_is_open(client: Client) -> None:
    if client.pfs.branch_exists(BRANCH):
        head = client.pfs.inspect_branch(branch=BRANCH).head
        if client.pfs.inspect_commit(commit=head).finished.timestamp() == 0:
            client.pfs.finish_commit(commit=head)


def _crash(pachd: LocalPachd, rounds: int) -> None:
    client = pachd.client()
    client.pfs.create_repo(repo=BRANCH.repo)
    sent: dict[str, str] = {}
    acknowledged: set[str] = set()
    draw = random.Random(7)
    for seed in range(rounds):
        writer = threading.Thread(target=_write_until_killed, args=(client, sent, acknowledged, seed))
        writer.start()
        time.sleep(draw.uniform(0.05, 0.6))
        pachd.kill()
        writer.join(30)
        assert not writer.is_alive()
        pachd.start()
        client = pachd.client()
        _finish_what_is_open(client)
    found = {}
    for info in client.pfs.list_file(file=pfs.File.from_uri("data@master:/")):
        content = client.pfs.pfs_file(info.file).read()
        found[info.file.path] = hashlib.blake2b(content).hexdigest()
    assert acknowledged
    assert acknowledged <= found.keys()
    assert found.items() <= sent.items(), "a file is torn"
    assert list(client.pfs.fsck()) == []
    pachd.kill()
    store = Store(pachd.state)
    assert list(store.fsck()) == []
    assert not any(store.blobs.uploads.iterdir())


@pytest.mark.slow
def test_kill_of_the_server_loses_nothing_acknowledged(pachd: LocalPachd) -> None:
    _crash(pachd, rounds=5)


@pytest.mark.long
def test_a_hundred_kills_lose_nothing_acknowledged(pachd: LocalPachd) -> None:
    _crash(pachd, rounds=int(os.environ.get("PACHYDERM_KILLS", "100")))
