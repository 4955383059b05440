"""Starts jobs when they can run, one at a time for each pipeline, and ends the work on those that are to stop."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from localcluster.pachyderm.errors import defect
from localcluster.pachyderm.pipelines import sandbox
from localcluster.pachyderm.pipelines.job import JobRun
from localcluster.pachyderm.state import jobs, pipelines
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.jobs import Job, JobState
from localcluster.pachyderm.state.pipelines import Pipeline
from localcluster.pachyderm.state.store import Store

RETRY = 5.0
"""Seconds until a job whose end could not be recorded is taken up again: the disk may be full."""

log = logging.getLogger("pachd")


@dataclass(frozen=True)
class _Changes:
    """What there is to do: runs to interrupt, and jobs to begin, each with its version of the pipeline."""

    ended: list[JobRun]
    begun: list[tuple[Job, Pipeline]]


class Master:
    """The one thread that decides which jobs run, and a thread for each that does."""

    def __init__(self, store: Store) -> None:
        """Make ready; empties the scratch directory, where no other pachd can be at work."""
        self._store = store
        self._sandbox = sandbox.choose(store.scratch)
        log.info("pipelines: %s", self._sandbox)
        self._running: dict[int, JobRun] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="master", daemon=True)

    def start(self) -> None:
        """Begin; jobs that an earlier pachd left unfinished go on."""
        self._thread.start()

    def stop(self) -> None:
        """End all work and return when no process of it is left; unfinished jobs stay as they are."""
        self._stopping.set()
        self._store.database.wake()
        self._thread.join()
        for run in list(self._running.values()):
            run.interrupt()
        for thread in list(self._threads.values()):
            thread.join()

    def _watch(self) -> None:
        while changes := self._store.database.wait(self._look, lambda: not self._stopping.is_set()):
            for run in changes.ended:
                run.interrupt()
            for job, pipeline in changes.begun:
                self._begin(job, pipeline)

    def _look(self, tx: Transaction) -> _Changes | None:
        runnable = jobs.runnable(tx)
        numbers = {job.number for job in runnable}
        running = dict(self._running)
        ended = [run for run in running.values() if run.job.number not in numbers and not run.interrupted]
        first = {job.pipeline: job for job in reversed(runnable) if job.pipeline not in running}
        begun = [(job, pipelines.at_version(tx, job.pipeline, job.version)) for job in first.values()]
        return _Changes(ended, begun) if ended or begun else None

    def _begin(self, job: Job, pipeline: Pipeline) -> None:
        run = JobRun(self._store, self._sandbox, job, pipeline)
        self._running[pipeline.number] = run
        thread = threading.Thread(target=self._run, args=(run, pipeline), name=f"job {job}", daemon=True)
        self._threads[pipeline.number] = thread
        thread.start()

    def _introduce(self, pipeline: Pipeline) -> None:
        """Say once what differs from a cluster."""
        path = self._store.logs.path(pipeline.number)
        if not path.exists():
            image = pipeline.spec.transform.image
            self._store.logs.write(
                path,
                f"the image {image} has no meaning here: the command runs on this machine, with the python3 of pachd's"
                " own environment",
                str(self._sandbox),
            )

    def _run(self, run: JobRun, pipeline: Pipeline) -> None:
        try:
            self._introduce(pipeline)
            self._work(run)
        except Exception:
            log.exception("job %s is taken up again in %g s: its end could not be recorded", run.job, RETRY)
            self._stopping.wait(RETRY)
        finally:
            del self._running[run.job.pipeline]
            self._store.database.wake()

    def _work(self, run: JobRun) -> None:
        job = run.job
        path = self._store.logs.path(job.pipeline)
        self._store.logs.write(path, f"starting job {job}")
        try:
            run.run()
        except Exception as error:
            log.exception("job %s: a defect of pachd", job)
            run.end(JobState.FAILURE, defect(error))
        with self._store.database.read() as tx:
            now = jobs.reload(tx, job)
        state = "deleted" if now is None else now.state.name.lower()
        self._store.logs.write(path, f"job {job}: {state}")
