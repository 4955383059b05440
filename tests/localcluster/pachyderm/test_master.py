"""What becomes of a job that pachd itself has a defect with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localcluster.pachyderm.names import RepoName
from localcluster.pachyderm.pipelines.job import JobRun
from localcluster.pachyderm.pipelines.master import Master
from localcluster.pachyderm.specs import spec
from localcluster.pachyderm.state import jobs, pipelines, repos
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.jobs import Job, JobState
from localcluster.pachyderm.state.store import Store


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_fails_the_job_in_words_instead_of_leaving_it_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(_run: JobRun) -> None:
        raise KeyError("origin")

    monkeypatch.setattr(JobRun, "run", defect)
    store = Store(tmp_path)
    document = {
        "pipeline": {"name": "p"},
        "input": {"pfs": {"repo": "data", "glob": "/"}},
        "transform": {"cmd": ["true"]},
    }
    with store.database.write() as tx:
        repos.create(tx, RepoName("default", "data"))
        pipelines.create(tx, spec.parse(document), json.dumps(document), json.dumps(spec.effective(document)))

    def ended(tx: Transaction) -> Job | None:
        return next(iter(jobs.select(tx, "WHERE j.finished IS NOT NULL")), None)

    master = Master(store)
    master.start()
    try:
        job = store.database.wait(ended, lambda: True)
    finally:
        master.stop()
    assert job is not None
    assert job.state is JobState.FAILURE
    assert job.reason.startswith("a defect of pachd, KeyError: 'origin'")
