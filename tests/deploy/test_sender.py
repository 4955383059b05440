"""Feedback arrives in Pachyderm once, through outages and deaths; the requests' side never waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import psutil
import pytest
from pachyderm_sdk.api import pfs

from deploy.fashion_classifier import sender, spool
from deploy.fashion_classifier.spool import Spool
from localcluster.settings import REPOSITORY
from tests.contract.pachyderm.pachd import LocalPachd

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sender")]

LIMIT = 2**20


@pytest.fixture(scope="module")
def pachd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPachd]:
    running = LocalPachd(tmp_path_factory.mktemp("pachd"))
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def repo(pachd: LocalPachd) -> Iterator[pfs.Repo]:
    """An empty repo `fmnist-feedback`."""
    client, name = pachd.client(), pfs.Repo(name=sender.REPO)
    client.pfs.create_repo(repo=name)
    yield name
    pachd.client().pfs.delete_repo(repo=name, force=True)


def arrived(pachd: LocalPachd) -> list[bytes]:
    """All lines in the repo, sorted."""
    client, master = pachd.client(), pfs.Commit.from_uri(f"{sender.REPO}@{sender.BRANCH}")
    try:
        found = list(client.pfs.walk_file(file=pfs.File(commit=master, path="/")))
    except grpc.RpcError as error:
        if "not found" not in str(error.details()):
            raise
        return []
    paths = [each.file.path for each in found if each.file_type == pfs.FileType.FILE]
    return sorted(
        line
        for path in paths
        for line in client.pfs.pfs_file(file=pfs.File(commit=master, path=path)).read().splitlines(keepends=True)
    )


def until(condition: Callable[[], bool], what: str, log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{log.read_text()}"
        time.sleep(0.1)


@contextmanager
def running(directory: Path, config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program as its container runs it."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY / "deploy"),
        "FEEDBACK_SPOOL": str(directory),
        "FEEDBACK_SECONDS": "0",
        "PACH_CONFIG": str(config),
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "fashion_classifier.sender"], env=environment, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(process.pid)
            for each in (*first.children(recursive=True), first):
                each.kill()
        process.wait(20)


def test_lines_arrive_once_through_an_outage_and_a_killed_process(
    pachd: LocalPachd, repo: pfs.Repo, tmp_path: Path
) -> None:
    directory, log = tmp_path / "spool", tmp_path / "log"
    writer, lines = Spool(directory, LIMIT), [f"{number:02}\n".encode() for number in range(40)]
    with running(directory, pachd.config, log) as process:
        for line in lines[:10]:
            writer.append(line)
        until(lambda: arrived(pachd) == lines[:10], "the first lines", log)
        pachd.kill()
        for line in lines[10:30]:
            writer.append(line)
        until(lambda: "cannot be reached" in log.read_text(), "the outage is noticed", log)
        (child,) = psutil.Process(process.pid).children()
        child.kill()
        pachd.start()
        for line in lines[30:]:
            writer.append(line)
        until(lambda: arrived(pachd) == lines, "all lines", log)
        until(lambda: spool.size(directory) == 0, "the spool is empty", log)
        assert process.poll() is None
        token = next(text for text in pachd.config.read_text().split('"') if len(text) > 30)
        assert token not in log.read_text()


def test_a_repeated_sending_after_a_death_between_commit_and_removal_doubles_nothing(
    pachd: LocalPachd, repo: pfs.Repo, tmp_path: Path
) -> None:
    Spool(tmp_path, LIMIT).append(b"1\n2\n")
    spool.close_due(tmp_path, 0, 0)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "deploy"), "PACH_CONFIG": str(pachd.config)}
    dying = (
        "import os, sys; from pathlib import Path; from fashion_classifier import sender, spool;"
        "sender.commit(spool.closed(Path(sys.argv[1]))); os.kill(os.getpid(), 9)"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", dying, str(tmp_path)], env=environment, timeout=120)
        assert done.returncode == -signal.SIGKILL
        assert arrived(pachd) == [b"1\n", b"2\n"]
    Spool(tmp_path, LIMIT).append(b"3\n")
    with running(tmp_path, pachd.config, tmp_path / "log"):
        until(lambda: spool.size(tmp_path) == 0, "the spool is empty", tmp_path / "log")
    assert arrived(pachd) == [b"1\n", b"2\n", b"3\n"]


def test_sigterm_ends_it_at_once_and_the_next_one_sends_what_is_left(
    pachd: LocalPachd, repo: pfs.Repo, tmp_path: Path
) -> None:
    directory, log = tmp_path / "spool", tmp_path / "log"
    with running(directory, tmp_path / "no-config.json", log) as process:
        Spool(directory, LIMIT).append(b"1\n")
        until(lambda: "no-config.json" in log.read_text(), "the missing configuration is said", log)
        children = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert not psutil.wait_procs(children, 20)[1]
    assert len(spool.closed(directory)) == 1
    with running(directory, pachd.config, log), running(directory, pachd.config, tmp_path / "other"):
        until(lambda: arrived(pachd) == [b"1\n"], "the line", log)


def test_a_missing_repo_is_said_and_waited_for(pachd: LocalPachd, tmp_path: Path) -> None:
    directory, log = tmp_path / "spool", tmp_path / "log"
    with running(directory, pachd.config, log):
        Spool(directory, LIMIT).append(b"1\n")
        until(lambda: "repo default/fmnist-feedback not found" in log.read_text(), "the reason", log)
        pachd.client().pfs.create_repo(repo=pfs.Repo(name=sender.REPO))
        until(lambda: arrived(pachd) == [b"1\n"], "the line", log)
    pachd.client().pfs.delete_repo(repo=pfs.Repo(name=sender.REPO), force=True)
