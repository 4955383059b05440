"""How fast files go in and out of the local pachd: `python -m benchmarks.pachyderm.measure [config of another pachd]`.

Everything goes through the genuine `pachyderm-sdk`, in the process that measures, against a pachd of its own in a
temporary home: client and server share the machine's cores, and a put counts until its commit is finished, with its
bytes and the database synced to the disk.  With the path of a configuration file (as PACH_CONFIG) the pachd that it
names is measured too, in turns with the local one.  Results go to results.json beside this file, README.md and
growth.png are made from it.

large     one file of 500 MB of random bytes: put (`put_file_from_file`), get (`get_file`), read (`pfs_file`)
small     1,000 files of 4 kB in one commit: put by `put_files`, which makes one ModifyFile stream of each, and all in
          one stream, as pachctl does it; got as one tar stream
memory    resident memory of pachd, sampled while a file of 1 GB goes in and out
commits   seconds a commit of one small file on one branch, 1,000 times, and to list the newest ten
files     seconds to list (`list_file`; and the same call without making the SDK's objects of what comes) and to add
          one file to a commit of up to 10,000 files in one directory
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import psutil
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from benchmarks.pachyderm import report
from fmnist.hardware import hardware
from tests.contract.pachyderm.pachd import LocalPachd

HERE = Path(__file__).resolve().parent
REPEATS = 5
MB = 1_000_000
LARGE = 500 * MB
HUGE = 1000 * MB
SMALL_FILES, SMALL = 1000, 4000
COMMITS, FILES, STEPS = 1000, 10_000, 10
READ = 1024 * 1024


def main() -> int:
    """Measure everything and write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", nargs="?", type=Path, help="configuration file of another pachd")
    other = parser.parse_args().other
    results: dict[str, Any] = {
        "hardware": hardware(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }
    with tempfile.TemporaryDirectory(prefix="pachyderm-") as home:
        pachd = LocalPachd(Path(home))
        pachd.start()
        try:
            clients = {"local": pachd.client()} | ({"other": Client.from_config(other)} if other else {})
            results["large"] = interleaved(clients, large)
            results["small"] = interleaved(clients, small)
            results["memory"] = memory(clients["local"], psutil.Process(pachd.pid))
            results["commits"] = commits(clients["local"])
            results["files"] = files(clients["local"])
        finally:
            pachd.stop()
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    report.write(HERE)
    return 0


def interleaved(clients: dict[str, Client], measure: Callable[[Client], dict[str, float]]) -> dict[str, Any]:
    """Each pachd in turn, REPEATS times; the spread of each number."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in clients}
    for _ in range(REPEATS):
        for name, client in clients.items():
            for what, value in measure(client).items():
                found[name].setdefault(what, []).append(value)
    result = {name: {what: spread(values) for what, values in numbers.items()} for name, numbers in found.items()}
    print(measure.__name__, json.dumps(result), flush=True)
    return result


def large(client: Client) -> dict[str, float]:
    """MB/s of one large file."""
    branch = _branch(client)
    content = os.urandom(LARGE)
    began = time.perf_counter()
    with client.pfs.commit(branch=branch) as commit:
        commit.put_file_from_file(path="/large", file=io.BytesIO(content))
    commit.wait()
    put = time.perf_counter() - began
    file = pfs.File(commit=commit, path="/large")
    get = _seconds(lambda: _require(sum(len(part.value) for part in client.pfs.get_file(file=file)), LARGE))
    with client.pfs.pfs_file(file) as stream:
        read = _seconds(lambda: _require(sum(map(len, iter(lambda: stream.read(READ), b""))), LARGE))
    client.pfs.delete_repo(repo=branch.repo)
    return {what: LARGE / MB / seconds for what, seconds in (("put", put), ("get", get), ("pfs_file", read))}


def small(client: Client) -> dict[str, float]:
    """Files a second of many small ones."""
    branch = _branch(client)
    contents = {f"{name:04d}": os.urandom(SMALL) for name in range(SMALL_FILES)}
    with tempfile.TemporaryDirectory() as folder:
        for name, data in contents.items():
            (Path(folder) / name).write_bytes(data)
        began = time.perf_counter()
        with client.pfs.commit(branch=branch) as commit:
            commit.put_files(source=folder, path="/files")
        commit.wait()
        many_streams = time.perf_counter() - began

    def requests() -> Iterator[pfs.ModifyFileRequest]:
        yield pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))
        for name, data in contents.items():
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/again/{name}", raw=data))

    began = time.perf_counter()
    client.pfs.modify_file(requests())
    head = client.pfs.inspect_commit(
        commit=pfs.Commit(repo=branch.repo, branch=branch), wait=pfs.CommitState.FINISHED
    ).commit
    one_stream = time.perf_counter() - began

    def members() -> int:
        with client.pfs.pfs_tar_file(pfs.File(commit=head, path="/again")) as archive:
            return sum(member.isfile() for member in archive)

    tar = _seconds(lambda: _require(members(), SMALL_FILES))
    client.pfs.delete_repo(repo=branch.repo)
    seconds = {"put_files": many_streams, "one_stream": one_stream, "get_tar": tar}
    return {what: SMALL_FILES / value for what, value in seconds.items()}


def memory(client: Client, process: psutil.Process) -> dict[str, Any]:
    """MB of pachd while 1 GB goes in and out, against seconds."""
    branch = _branch(client)
    samples: list[tuple[float, float]] = []
    done = threading.Event()
    began = time.perf_counter()

    def sample() -> None:
        while not done.wait(0.1):
            samples.append((round(time.perf_counter() - began, 2), round(process.memory_info().rss / MB, 1)))

    sampler = threading.Thread(target=sample)
    before = process.memory_info().rss / MB
    sampler.start()
    try:
        with client.pfs.commit(branch=branch) as commit:
            commit.put_file_from_file(path="/huge", file=io.BytesIO(os.urandom(HUGE)))
        file = pfs.File(commit=commit, path="/huge")
        _require(sum(len(part.value) for part in client.pfs.get_file(file=file)), HUGE)
    finally:
        done.set()
        sampler.join()
    client.pfs.delete_repo(repo=branch.repo)
    result = {"before": round(before, 1), "largest": max(rss for _, rss in samples), "samples": samples}
    print("memory", result["before"], result["largest"], flush=True)
    return result


def commits(client: Client) -> dict[str, Any]:
    """Seconds of each commit, and of a listing, against the number of commits."""
    branch = _branch(client)
    each: list[float] = []
    listing: list[tuple[int, float]] = []
    for number in range(COMMITS):
        began = time.perf_counter()
        with client.pfs.commit(branch=branch) as commit:
            commit.put_file_from_bytes(f"/{number}", b"%d" % number)
        each.append(time.perf_counter() - began)
        if (number + 1) % (COMMITS // STEPS) == 0:
            newest = _median(lambda: len(list(client.pfs.list_commit(repo=branch.repo, number=10))))
            listing.append((number + 1, newest))
    return {"growth": _grouped(each), "list_ten": listing}


def files(client: Client) -> dict[str, Any]:
    """Seconds to list and to change a commit, against the number of its files."""
    branch = _branch(client)
    listing: list[tuple[int, float]] = []
    plain: list[tuple[int, float]] = []
    adding: list[tuple[int, float]] = []
    step = FILES // STEPS
    directory = pfs.File(commit=pfs.Commit(repo=branch.repo, branch=branch), path="/d")
    token = (("authn-token", str(client.auth_token)),)
    request = bytes(pfs.ListFileRequest(file=directory))
    channel = grpc.insecure_channel(client.address)
    messages = channel.unary_stream("/pfs_v2.API/ListFile", bytes, bytes)
    for first in range(0, FILES, step):

        def requests(first: int = first) -> Iterator[pfs.ModifyFileRequest]:
            yield pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))
            for number in range(first, first + step):
                yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/d/{number:05d}", raw=b"%d" % number))

        client.pfs.modify_file(requests())
        count = first + step
        listing.append((count, _median(lambda: len(list(client.pfs.list_file(file=directory))))))
        plain.append((count, _median(lambda: len(list(messages(request, metadata=token))))))
        adding.append((count, _median(lambda: _add_one(client, branch))))
    channel.close()
    return {"list": listing, "list_messages": plain, "add_one": adding}


def _add_one(client: Client, branch: pfs.Branch) -> None:
    with client.pfs.commit(branch=branch) as commit:
        commit.put_file_from_bytes("/one", b"1", append=True)


def _branch(client: Client) -> pfs.Branch:
    branch = pfs.Branch.from_uri(f"bench-{uuid.uuid4().hex[:12]}@master")
    client.pfs.create_repo(repo=branch.repo)
    return branch


def _grouped(each: Sequence[float]) -> list[tuple[int, float]]:
    size = len(each) // STEPS
    return [(at + size, round(statistics.median(each[at : at + size]), 5)) for at in range(0, len(each), size)]


def _median(action: Callable[[], object]) -> float:
    return round(statistics.median(_seconds(action) for _ in range(REPEATS)), 5)


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _require(found: int, expected: int) -> None:
    if found != expected:
        raise SystemExit(f"{found} instead of {expected} came back")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Number, median and extremes."""
    ordered = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {"n": len(values)} | {name: float(f"{value:.3g}") for name, value in ordered.items()}


if __name__ == "__main__":
    raise SystemExit(main())
