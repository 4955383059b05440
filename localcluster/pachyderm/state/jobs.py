"""Jobs: one for each commit that is derived on a pipeline's output branch, from its creation to its end."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import IntEnum

from localcluster.pachyderm.clock import now
from localcluster.pachyderm.errors import NotFound, PachdError
from localcluster.pachyderm.names import USER
from localcluster.pachyderm.state import commits, datums, results, trees
from localcluster.pachyderm.state.commits import Commit
from localcluster.pachyderm.state.database import Transaction


class JobState(IntEnum):
    """How far a job is, numbered as pps_v2.JobState.

    A pipeline takes up its jobs in turn: one that waits for its inputs is STARTING, those behind it are CREATED.
    """

    CREATED = 1
    STARTING = 2
    RUNNING = 3
    FAILURE = 4
    SUCCESS = 5
    KILLED = 6
    FINISHING = 8
    UNRUNNABLE = 9

    @property
    def ended(self) -> bool:
        """Whether nothing can change the job any more."""
        return self in (JobState.FAILURE, JobState.SUCCESS, JobState.KILLED, JobState.UNRUNNABLE)


@dataclass(frozen=True)
class Job:
    """A job; `output` and `meta` are row numbers of commits (None once removed), times in microseconds since 1970."""

    number: int
    pipeline: int
    project: str
    name: str
    version: int
    id: str
    output: int | None
    meta: int | None
    state: JobState
    reason: str
    restarts: int
    created: int
    started: int | None
    finished: int | None

    def __str__(self) -> str:
        return f"{self.project}/{self.name}@{self.id}"


_SELECT = f"""
SELECT j.number, j.pipeline, p.project, p.name, j.version, j.id, j.output, m.number,
  CASE WHEN j.state = {JobState.CREATED:d} AND NOT EXISTS (
    SELECT 1 FROM jobs e WHERE e.pipeline = j.pipeline AND e.number < j.number AND e.finished IS NULL)
  THEN {JobState.STARTING:d} ELSE j.state END,
  j.reason, j.restarts, j.created, j.started, j.finished
FROM jobs j JOIN pipelines p ON p.number = j.pipeline
LEFT JOIN repos mr ON mr.project = p.project AND mr.name = p.name AND mr.type = 'meta'
LEFT JOIN commits m ON m.repo = mr.number AND m.id = j.id
"""  # noqa: S608


def _job(row: sqlite3.Row) -> Job:
    number, pipeline, project, name, version, id_, output, meta, state, *rest = row
    return Job(number, pipeline, project, name, version, id_, output, meta, JobState(state), *rest)


def select(tx: Transaction, where: str, *parameters: object) -> list[Job]:
    """The jobs `j` (of pipelines `p`) that satisfy an SQL condition (with whatever ORDER BY it ends in)."""
    return [_job(row) for row in tx.execute(f"{_SELECT} {where}", parameters)]


def get(tx: Transaction, project: str, pipeline: str, job_id: str) -> Job:
    """Raises NotFound."""
    found = select(tx, "WHERE p.project=? AND p.name=? AND j.id=?", project, pipeline, job_id)
    if not found:
        raise NotFound(f"jobs {f'{project}/{pipeline}' if pipeline else ''}@{job_id} not found")
    return found[0]


def reload(tx: Transaction, job: Job) -> Job | None:
    """The job as it is now, or None where it was deleted."""
    found = select(tx, "WHERE j.number=?", job.number)
    return found[0] if found else None


def begin(tx: Transaction, output: Commit) -> None:
    """Make the job for a commit that was just derived, where its branch is a pipeline's output branch."""
    if output.repo.type == USER:
        tx.execute(
            "INSERT OR IGNORE INTO jobs (pipeline, version, id, output, state, created)"
            " SELECT number, version, ?, ?, ?, ? FROM pipelines WHERE project=? AND name=? AND output_branch=?",
            (output.id, output.number, JobState.CREATED, now(), output.repo.project, output.repo.name, output.branch),
        )


def runnable(tx: Transaction) -> list[Job]:
    """The jobs that have not ended and that wait neither for an input nor for an earlier output, oldest first."""
    return select(
        tx,
        "WHERE j.finished IS NULL AND NOT p.stopped AND NOT EXISTS ("
        " SELECT 1 FROM commit_provenance cp JOIN commits u ON u.number = cp.upstream"
        " WHERE cp.commit_number = j.output AND u.finished IS NULL) AND NOT EXISTS ("
        " SELECT 1 FROM commits o JOIN commits b ON b.number = o.parent"
        " WHERE o.number = j.output AND b.finished IS NULL) ORDER BY j.number",
    )


def set_state(tx: Transaction, job: Job, state: JobState) -> None:
    """Move a job that has not ended on; RUNNING sets when it started.  Raises PachdError where it ended."""
    changed = tx.execute(
        "UPDATE jobs SET state=?, started=CASE WHEN ? THEN coalesce(started, ?) ELSE started END"
        " WHERE number=? AND finished IS NULL",
        (state, state == JobState.RUNNING, now(), job.number),
    )
    if not changed.rowcount:
        raise PachdError(f"job {job} has already finished")


def restarted(tx: Transaction, job: Job) -> None:
    """Count one more start of a job, as after a crash of pachd."""
    tx.execute("UPDATE jobs SET restarts = restarts + 1 WHERE number=?", (job.number,))


def finish(tx: Transaction, job: Job, state: JobState, reason: str = "") -> str:
    """End a job and close its output and meta commits; why it did not succeed, or "".

    The output commit gets what the job's datums wrote, and both get the reason as their error.  Files that collide
    make a job that was to succeed fail.  A job that has ended stays as it is.
    """
    current = reload(tx, job)
    if current is None or current.finished is not None:
        return reason
    if state is not JobState.SUCCESS:
        reason = reason or state.name.lower()
    if current.output is not None:
        output = commits.get(tx, current.output)
        collision = results.merge(tx, current.pipeline, output, datums.of_job(tx, current.number))
        reason = reason or collision
    for number in (current.output, current.meta):
        if number is not None:
            reason = trees.finish(tx, commits.get(tx, number), error=reason)
    if reason and state is JobState.SUCCESS:
        state = JobState.FAILURE
    moment = now()
    tx.execute(
        "UPDATE jobs SET state=?, reason=?, started=coalesce(started, ?), finished=? WHERE number=?",
        (state, reason, moment, moment, job.number),
    )
    if state is JobState.SUCCESS:
        results.forget_unused(tx, current.pipeline, current.number)
    return reason


def stop(tx: Transaction, job: Job, reason: str) -> None:
    """Kill a job; its run, if there is one, ends itself when it sees that."""
    finish(tx, job, JobState.KILLED, reason)


def delete(tx: Transaction, job: Job) -> None:
    """Kill a job and forget it and its datums."""
    stop(tx, job, "job deleted")
    tx.execute("DELETE FROM jobs WHERE number=?", (job.number,))


def base(tx: Transaction, job: Job) -> Job | None:
    """The job of the nearest ancestor of the output commit that succeeded: its datums need not be run again."""
    row = tx.execute(
        "WITH RECURSIVE line(number) AS (SELECT parent FROM commits WHERE number=? UNION ALL"
        " SELECT c.parent FROM commits c JOIN line ON c.number = line.number)"
        " SELECT j.number FROM line JOIN jobs j ON j.output = line.number WHERE j.state=? LIMIT 1",
        (job.output, JobState.SUCCESS),
    ).fetchone()
    return select(tx, "WHERE j.number=?", row[0])[0] if row else None
