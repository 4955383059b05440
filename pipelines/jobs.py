"""Waits for the jobs behind the heads of the pipelines' output branches, and says what became of them."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from pipelines.deploy import refusals
from pipelines.errors import DeployError
from pipelines.split import REPORT

PAUSE = 0.2
"""Seconds between two questions."""

ENDED = (
    pps.JobState.JOB_SUCCESS,
    pps.JobState.JOB_FAILURE,
    pps.JobState.JOB_KILLED,
    pps.JobState.JOB_UNRUNNABLE,
)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """`words` is the line for people: the result, or what happened and where to look."""

    pipeline: str
    commit: str
    good: bool
    words: str


def await_head(client: Client, pipeline: str, deadline: float, progress: Progress) -> Outcome:
    """What became of the job that makes the head of `pipeline@master`; `deadline` is on time.monotonic's clock.

    Raises DeployError where the job does not end in time, or pachd does not answer.
    """
    with refusals(f"pipeline {pipeline}"):
        info = client.pps.inspect_pipeline(pipeline=pps.Pipeline(name=pipeline))
        head = client.pfs.inspect_branch(branch=pfs.Branch.from_uri(f"{pipeline}@master")).head.id
        if info.stopped:
            return Outcome(pipeline, head, True, f"stopped; go on: pachctl start pipeline {pipeline}")
        job = _await(client, pps.Job(pipeline=pps.Pipeline(name=pipeline), id=head), deadline, progress)
        if job.state != pps.JobState.JOB_SUCCESS:
            state = pps.JobState(job.state).name.removeprefix("JOB_")
            return Outcome(
                pipeline, head, False, f"{state}: {job.reason}\n  more: pachctl logs --job {pipeline}@{head}"
            )
        if not job.data_total:
            return Outcome(pipeline, head, True, "no data yet")
        seconds = (job.finished - job.started).total_seconds()
        return Outcome(pipeline, head, True, f"{_result(client, pipeline, head)}  {seconds:.1f} s")


def _await(client: Client, job: pps.Job, deadline: float, progress: Progress) -> pps.JobInfo:
    while True:
        info = client.pps.inspect_job(job=job)
        if info.state in ENDED:
            return info
        state = pps.JobState(info.state).name.removeprefix("JOB_").lower()
        progress(f"{job.pipeline.name}: job {job.id} is {state}")
        if time.monotonic() > deadline:
            raise DeployError(
                f"{job.pipeline.name}: job {job.id} has not ended in time, it is {state}; "
                f"it goes on: pachctl inspect job {job.pipeline.name}@{job.id}"
            )
        time.sleep(PAUSE)


def _result(client: Client, pipeline: str, commit: str) -> str:
    """What the report of a commit says, or the reports of its folders, as fmnist-drift writes one for each batch."""
    names = defaultdict(list)
    for found in client.pfs.glob_file(
        commit=pfs.Commit.from_uri(f"{pipeline}@{commit}"), pattern=f"/{{{REPORT},*/{REPORT}}}"
    ):
        with client.pfs.pfs_file(file=found.file) as stream:
            report = json.loads(stream.read())
        folder = found.file.path.removesuffix(REPORT).strip("/")
        if not folder:
            images = [f"{report['images']} images"] if "images" in report else []
            return "  ".join([*images, str(report.get("verdict"))])
        names[str(report.get("verdict"))].append(folder)
    return "; ".join(f"{verdict}: {', '.join(folders)}" for verdict, folders in sorted(names.items()))
