"""The call that reads the logs of pipelines and jobs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import timedelta

from pachyderm_sdk.api import pps

from localcluster.pachyderm import logs
from localcluster.pachyderm.clock import now
from localcluster.pachyderm.errors import PachdError, Unimplemented, during
from localcluster.pachyderm.logs import Line
from localcluster.pachyderm.servicer import pps_wire, wire
from localcluster.pachyderm.servicer.session import Session
from localcluster.pachyderm.state import datums, jobs, pipelines
from localcluster.pachyderm.state.jobs import Job
from localcluster.pachyderm.state.pipelines import Pipeline

DEFAULT_SINCE = timedelta(hours=24)
"""How far back the logs of a pipeline go unless the caller says; those of a job go back to its beginning."""


def get_logs(request: pps.GetLogsRequest, session: Session) -> Iterator[pps.LogMessage]:
    named = request.job.pipeline if request.job.id else request.pipeline
    if not named.name:
        raise _unnamed(request)
    project, name = pps_wire.pipeline_name(named)
    if request.job.id and request.pipeline.name and pps_wire.pipeline_name(request.pipeline) != (project, name):
        raise PachdError("job is from the wrong pipeline")
    with session.read() as tx:
        with during(f'could not get job information for "{request.job.id}"'):
            job = jobs.get(tx, project, name, request.job.id) if request.job.id else None
        with during(f"could not get pipeline information for {project}/{name}"):
            pipeline = pipelines.get(tx, project, name)
    reader = _Reader(session, request, pipeline, job)
    tail = request.tail
    while True:
        version, ended = session.store.logs.version, reader.ended()
        if tail > 0:
            yield from deque(reader.read(), tail)
        else:
            yield from reader.read()
        if ended or not request.follow or not session.wait_for_logs(version):
            return
        tail = 0


def _unnamed(request: pps.GetLogsRequest) -> PachdError:
    if request.job.id:
        return PachdError("pipeline must be specified for the given job")
    if request.data_filters or request.datum.id:
        return PachdError("must specify the Job or Pipeline that the datum is from to get logs for it")
    return Unimplemented(
        "pps_v2.API/GetLogs: this pachd serves the logs of pipelines and jobs; its own are in `make logs`"
    )


class _Reader:
    """The lines that a request asks for, from where the last `read` ended."""

    def __init__(self, session: Session, request: pps.GetLogsRequest, pipeline: Pipeline, job: Job | None) -> None:
        self._session = session
        self._logs = session.store.logs
        self._request = request
        self._pipeline = pipeline
        self._job = job
        self._offsets: dict[int, int] = {}
        self._inputs: dict[str, list[pps.InputFile]] = {}
        since = request.since or (timedelta() if job else DEFAULT_SINCE)
        self._since = now() - since // timedelta(microseconds=1) if since else 0

    def ended(self) -> bool:
        """Whether there will be no more lines."""
        with self._session.read() as tx:
            if self._job is None or self._request.master:
                return not pipelines.select(tx, "WHERE p.number=?", self._pipeline.number)
            current = jobs.reload(tx, self._job)
        return current is None or current.state.ended

    def read(self) -> Iterator[pps.LogMessage]:
        """The lines written since the last time."""
        if self._request.master:
            yield from self._file(0, "")
        elif self._job:
            yield from self._file(self._job.number, self._job.id)
        else:
            with self._session.read() as tx:
                ids = {job.number: job.id for job in jobs.select(tx, "WHERE j.pipeline=?", self._pipeline.number)}
            for number in self._logs.jobs(self._pipeline.number):
                if number in ids:
                    yield from self._file(number, ids[number])

    def _file(self, job: int, job_id: str) -> Iterator[pps.LogMessage]:
        path = self._logs.path(self._pipeline.number, job or logs.MASTER)
        for line, offset in logs.read(path, self._offsets.get(job, 0)):
            self._offsets[job] = offset
            data = self._data(job, line.datum)
            if line.time >= self._since and self._wanted(line, data):
                yield pps.LogMessage(
                    project_name=self._pipeline.project,
                    pipeline_name=self._pipeline.name,
                    job_id=job_id,
                    datum_id=line.datum,
                    master=not job,
                    data=data,
                    user=line.user,
                    ts=wire.time(line.time),
                    message=line.message,
                )

    def _wanted(self, line: Line, data: list[pps.InputFile]) -> bool:
        """Whether a line is of the datum asked for, and every filter names one of its input files by path or hash."""
        return self._request.datum.id in ("", line.datum) and pps_wire.passes(data, self._request.data_filters)

    def _data(self, job: int, datum: str) -> list[pps.InputFile]:
        if datum and datum not in self._inputs:
            with self._session.read() as tx:
                self._inputs = {each.id: pps_wire.input_files(each) for each in datums.of_job(tx, job)}
            self._inputs.setdefault(datum, [])
        return self._inputs.get(datum, [])
