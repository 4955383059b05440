"""What becomes of a job that pachd itself has a defect with, or that it cannot write about."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from localcluster.pachyderm.logs import Logs
from localcluster.pachyderm.names import RepoName
from localcluster.pachyderm.pipelines import master
from localcluster.pachyderm.pipelines.job import JobRun
from localcluster.pachyderm.pipelines.master import Master
from localcluster.pachyderm.specs import spec
from localcluster.pachyderm.specs.effective import effective
from localcluster.pachyderm.state import jobs, pipelines, repos
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.jobs import Job, JobState
from localcluster.pachyderm.state.store import Store


def store_with_a_job(home: Path) -> Store:
    """A store in which a pipeline has its first job, which has no datum."""
    store = Store(home)
    document = {
        "pipeline": {"name": "p"},
        "input": {"pfs": {"repo": "data", "glob": "/"}},
        "transform": {"cmd": ["true"]},
    }
    with store.database.write() as tx:
        repos.create(tx, RepoName("default", "data"))
        pipelines.create(tx, spec.parse(document), json.dumps(document), json.dumps(effective(document)))
    return store


def ended(tx: Transaction) -> Job | None:
    """The job, once it has ended."""
    return next(iter(jobs.select(tx, "WHERE j.finished IS NOT NULL")), None)


def test_a_defect_fails_the_job_in_words_instead_of_leaving_it_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(_run: JobRun) -> None:
        raise KeyError("origin")

    monkeypatch.setattr(JobRun, "run", defect)
    store = store_with_a_job(tmp_path)
    running = Master(store)
    running.start()
    try:
        job = store.database.wait(ended, lambda: True)
    finally:
        running.stop()
    assert job is not None
    assert job.state is JobState.FAILURE
    assert job.reason.startswith("a defect of pachd, KeyError: 'origin'")


def test_a_job_goes_on_once_a_full_disk_has_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Logs.write
    refusals = iter(range(3))

    def refuse(logs: Logs, path: Path, *messages: str, **fields: Any) -> None:
        if next(refusals, None) is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(logs, path, *messages, **fields)

    monkeypatch.setattr(Logs, "write", refuse)
    monkeypatch.setattr(master, "RETRY", 0.1)
    store = store_with_a_job(tmp_path)
    running = Master(store)
    running.start()
    deadline = time.monotonic() + 30
    waker = threading.Timer(30, store.database.wake)
    waker.start()
    try:
        job = store.database.wait(ended, lambda: time.monotonic() < deadline)
    finally:
        waker.cancel()
        running.stop()
    assert job is not None
    assert job.state is JobState.SUCCESS
