"""kill -9 of pachd while commits and jobs go on: every commit's job ends, its output is right, nothing is left over."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from pathlib import Path

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from localcluster.pachyderm.state.store import Store
from tests.contract.pachyderm.helpers import put
from tests.contract.pachyderm.pachd import LocalPachd
from tests.localcluster.pachyderm.project import wait_until

INPUT = pfs.Branch.from_uri("data@master")

SCRIPT = """
set -e
name=$(basename $in)
echo $name >> {log}
tr a-z A-Z < $in > /pfs/out/$name
sleep {pause}
"""


def _create(client: Client, name: str, source: str, transform: dict[str, object], parallelism: int = 1) -> None:
    document = {
        "pipeline": {"name": name},
        "input": {"pfs": {"repo": source, "name": "in", "glob": "/*"}},
        "transform": transform,
        "parallelism_spec": {"constant": parallelism},
    }
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(document))


def _processes_of(pachd: LocalPachd) -> list[str]:
    """Command lines of processes that run below a pachd's home, or that its launchers started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"HOMEMARK={pachd.settings.home}".encode() in environment:
            found.append(command)
    return found


def _marked(pachd: LocalPachd, script: str) -> dict[str, object]:
    return {"cmd": ["sh"], "stdin": script.splitlines(), "env": {"HOMEMARK": str(pachd.settings.home)}}


def test_what_is_done_is_not_done_again(pachd: LocalPachd, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    log.touch()
    client = pachd.client()
    client.pfs.create_repo(repo=INPUT.repo)
    put(client, INPUT, {f"/{name}": name.encode() for name in "abcd"})
    script = f"name=$(basename $in); echo $name >> {log}; test $name != c -o -f {gate} || sleep 600; cp $in /pfs/out/"
    _create(client, "copy", "data", _marked(pachd, script))
    wait_until(lambda: log.read_text().split() == ["a", "b", "c"], "the third datum")
    pachd.kill()
    wait_until(lambda: not _processes_of(pachd), "the processes to end")
    gate.touch()
    pachd.start()
    client = pachd.client()
    (job,) = client.pps.list_job(pipeline=pps.Pipeline(name="copy"))
    ended = client.pps.inspect_job(job=job.job, wait=True)
    assert (ended.state, ended.data_processed, ended.restart) == (pps.JobState.JOB_SUCCESS, 4, 1)
    assert log.read_text().split() == ["a", "b", "c", "c", "d"]
    assert list((pachd.state / "scratch").iterdir()) == []
    listed = client.pfs.list_file(file=pfs.File.from_uri("copy@master:/"))
    assert [info.file.path for info in listed] == ["/a", "/b", "/c", "/d"]


def test_a_termination_leaves_the_job_for_the_next_start(pachd: LocalPachd, tmp_path: Path) -> None:
    gate, mark = tmp_path / "gate", tmp_path / "mark"
    client = pachd.client()
    client.pfs.create_repo(repo=INPUT.repo)
    put(client, INPUT, {"/a": b"a"})
    _create(client, "waits", "data", _marked(pachd, f"touch {mark}; test -f {gate} || sleep 600; touch /pfs/out/done"))
    wait_until(mark.exists, "the user code to begin")
    assert pachd.stop() == 0
    assert _processes_of(pachd) == []
    assert "Traceback" not in pachd.log
    gate.touch()
    pachd.start()
    client = pachd.client()
    (job,) = client.pps.list_job(pipeline=pps.Pipeline(name="waits"))
    assert client.pps.inspect_job(job=job.job, wait=True).state == pps.JobState.JOB_SUCCESS


def _commit_until_killed(pachd: LocalPachd, contents: dict[str, bytes], ids: list[str], seed: int) -> None:
    """Commit files of random sizes; `contents` is what the branch holds once a commit is acknowledged."""
    client, draw = pachd.client(), random.Random(seed)
    while True:
        path = f"/file{draw.randrange(8)}"
        data = bytes(draw.choices(b"abcdefghij\n", k=draw.choice([1, 100, 200_000])))
        try:
            with client.pfs.commit(branch=INPUT) as commit:
                commit.put_file_from_bytes(path, data)
        except (grpc.RpcError, ConnectionError):
            contents.pop(path, None)
            return
        contents[path] = data
        ids.append(commit.id)
        time.sleep(draw.uniform(0, 0.2))


def _finish_what_is_open(client: Client) -> None:
    head = client.pfs.inspect_branch(branch=INPUT).head
    if client.pfs.inspect_commit(commit=head).finished.timestamp() == 0:
        client.pfs.finish_commit(commit=head)


def _files(client: Client, repo: str) -> dict[str, bytes]:
    listed = client.pfs.list_file(file=pfs.File.from_uri(f"{repo}@master:/"))
    return {info.file.path: client.pfs.pfs_file(info.file).read() for info in listed}


def _crash(pachd: LocalPachd, tmp_path: Path, rounds: int) -> None:
    log = tmp_path / "log"
    log.touch()
    client = pachd.client()
    client.pfs.create_repo(repo=INPUT.repo)
    put(client, INPUT, {"/first": b"first"})
    _create(client, "upper", "data", _marked(pachd, SCRIPT.format(log=log, pause=0.02)), parallelism=2)
    _create(client, "again", "upper", _marked(pachd, "cat $in $in > /pfs/out/$(basename $in)"))
    acknowledged: dict[str, bytes] = {"/first": b"first"}
    ids: list[str] = []
    draw = random.Random(11)
    for seed in range(rounds):
        writer = threading.Thread(target=_commit_until_killed, args=(pachd, acknowledged, ids, seed))
        writer.start()
        time.sleep(draw.uniform(0.1, 1.5))
        pachd.kill()
        writer.join(30)
        assert not writer.is_alive()
        pachd.start()
        _finish_what_is_open(pachd.client())
    client = pachd.client()
    for commit_id in ids:
        for info in client.pps.inspect_job_set(job_set=pps.JobSet(id=commit_id), wait=True):
            assert info.state == pps.JobState.JOB_SUCCESS, info.reason
    head = client.pfs.inspect_branch(branch=INPUT).head
    list(client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=head.id), wait=True))
    raw = _files(client, "data")
    assert acknowledged.items() <= raw.items()
    assert ids
    upper = {path: data.upper() for path, data in raw.items()}
    assert _files(client, "upper") == upper
    assert _files(client, "again") == {path: data * 2 for path, data in upper.items()}
    unfinished = [info for info in client.pps.list_job(pipeline=pps.Pipeline(name="again")) if not info.finished]
    assert unfinished == []
    assert "Traceback" not in pachd.log
    pachd.kill()
    wait_until(lambda: not _processes_of(pachd), "the processes to end")
    store = Store(pachd.state)
    assert list(store.fsck()) == []
    assert not any(store.blobs.uploads.iterdir())


@pytest.mark.slow
def test_kills_while_jobs_run(pachd: LocalPachd, tmp_path: Path) -> None:
    _crash(pachd, tmp_path, rounds=6)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_hundred_kills_while_jobs_run(pachd: LocalPachd, tmp_path: Path) -> None:
    _crash(pachd, tmp_path, rounds=int(os.environ.get("PACHYDERM_KILLS", "100")))
