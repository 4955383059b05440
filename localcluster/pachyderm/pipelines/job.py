"""One job from its inputs to its output commit.

All that a job has achieved is in the database: what its datums are, how each went, and the output of those that
succeeded.  So a job that was interrupted at any moment goes on where it was.
"""

from __future__ import annotations

import os
import time
from collections import deque
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

from localcluster.pachyderm import logs
from localcluster.pachyderm.clock import now
from localcluster.pachyderm.errors import PachdError
from localcluster.pachyderm.pipelines import inputs, meta
from localcluster.pachyderm.pipelines.sandbox import Sandbox
from localcluster.pachyderm.pipelines.worker import (
    BEGINNING,
    ERRORED,
    USER_CODE,
    Interrupted,
    Interruption,
    Source,
    Worker,
)
from localcluster.pachyderm.specs.spec import Pfs
from localcluster.pachyderm.state import commits, datums, jobs, results, trees
from localcluster.pachyderm.state.commits import Commit
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.datums import Datum, DatumInput, DatumState
from localcluster.pachyderm.state.jobs import Job, JobState
from localcluster.pachyderm.state.pipelines import Pipeline
from localcluster.pachyderm.state.store import Store
from localcluster.pachyderm.state.trees import Entry, Tree

SHOWN_LINES = 10
LONGEST_SHOWN = 1000
"""How much of a failed datum's log the job's reason repeats: lines, and characters of each."""


class JobRun:
    """The work on a job; `run` does it, `interrupt` ends it from another thread and leaves the job as it is."""

    def __init__(self, store: Store, sandbox: Sandbox, job: Job, pipeline: Pipeline) -> None:
        self.job = job
        self._store = store
        self._sandbox = sandbox
        self._pipeline = pipeline
        self._spec = pipeline.spec
        self._log = store.logs.path(job.pipeline, job.number)
        self._interruption = Interruption(self._deadline())
        self.interrupted = False

    def _deadline(self) -> float | None:
        """When the job's time is up, on the monotonic clock."""
        if self._spec.job_timeout is None:
            return None
        passed = (now() - (self.job.started or now())) / 1e6
        return time.monotonic() + self._spec.job_timeout - passed

    def interrupt(self) -> None:
        """End the processes of the job."""
        self.interrupted = True
        self._interruption.interrupt()

    def say(self, message: str) -> None:
        """Write a line to the job's log."""
        self._store.logs.write(self._log, message)

    def run(self) -> None:
        """Do what is left to do of the job and end it, unless it is interrupted."""
        self._store.restarts[self.job.number] = self._interruption.restart
        try:
            self._run()
        except Interrupted:
            if self._interruption.late():
                timeout = f"job timed out: it ran longer than its job_timeout of {self._spec.job_timeout:g}s"
                self.end(JobState.KILLED, timeout)
        except (PachdError, OSError) as error:
            self.end(JobState.FAILURE, str(error))
        finally:
            del self._store.restarts[self.job.number]

    def _run(self) -> None:
        if not self._begin():
            return
        at_once = min(self._spec.parallelism, len(os.sched_getaffinity(0)))
        with ThreadPoolExecutor(at_once, f"{self._pipeline}") as pool:
            if self._work(pool, self._new()):
                self._work(pool, self._changed())
        self._conclude()

    def _begin(self) -> bool:
        """Find out the job's datums; False where the job cannot run."""
        with self._store.database.write() as tx:
            for number in (self._output(tx).number, self.job.meta):
                if number is not None:
                    trees.clear(tx, commits.get(tx, number))
            if failed := [source.name for source in self._spec.inputs() if self._commit(tx, source).error]:
                reason = f"unrunnable because the following upstream pipelines failed: {', '.join(failed)}"
                self.say(f"marking job unrunnable with reason: {reason}")
                jobs.finish(tx, self.job, JobState.UNRUNNABLE, reason)
                return False
            if self.job.started is not None:
                jobs.restarted(tx, self.job)
            jobs.set_state(tx, self.job, JobState.RUNNING)
            found = inputs.find(tx, self._spec.input, partial(self._commit, tx), self._pipeline.salt)
            datums.plan(tx, self.job.number, found)
        self.say(f"started processing job: {len(found)} datums")
        return True

    def _work(self, pool: Executor, wanted: list[Datum]) -> bool:
        """Process those of the datums that are still to do; whether all of them went well."""
        waiting = [datum for datum in wanted if datum.state is DatumState.STARTING]
        states = [datum.state for datum in wanted] + [*pool.map(partial(self._process, self._worker()), waiting)]
        self._interruption.check()
        return DatumState.FAILED not in states

    def _new(self) -> list[Datum]:
        """The datums that the base job did not have; upstream, too, looks at the others only once these succeeded."""
        with self._store.database.read() as tx:
            base = jobs.base(tx, self.job)
            known = datums.ids(tx, base.number) if base else set()
            return [datum for datum in datums.of_job(tx, self.job.number) if datum.id not in known]

    def _changed(self) -> list[Datum]:
        """The datums that the base job had with other content; what the job inherits of them and of others goes."""
        with self._store.database.write() as tx:
            output = self._output(tx)
            base = None if self._spec.reprocess_every_job else jobs.base(tx, self.job)
            done = datums.succeeded(tx, base.number) if base else set()
            for datum in datums.of_job(tx, self.job.number):
                if datum.state is DatumState.STARTING and datum.hash in done:
                    datums.set_state(tx, self.job.number, datum, DatumState.SKIPPED, 0, datum.stats)
            all_datums = datums.of_job(tx, self.job.number)
            skipped = {meta.path(datum.id) for datum in all_datums if datum.state is DatumState.SKIPPED}
            results.remove_outdated(tx, self.job.pipeline, output, all_datums)
            if self.job.meta is not None:
                trees.keep(tx, commits.get(tx, self.job.meta), skipped)
        self.say(f"skipping {len(skipped)} of the datums")
        return [datum for datum in all_datums if datum.state is DatumState.STARTING]

    def _commit(self, tx: Transaction, source: Pfs) -> Commit:
        """The commit of the job's provenance that an input stands for.  Raises PachdError where it was deleted."""
        found = [commit for commit in commits.relations(tx, self._output(tx)).provenance if commit.repo == source.repo]
        if not found:
            raise PachdError(f"the commit of the input {source.name} was deleted")
        return next((commit for commit in found if commit.branch == source.branch), found[0])

    def _origin(self, tx: Transaction, file: DatumInput) -> tuple[Pfs, Commit]:
        """The input that a file of a datum belongs to, and its commit.  Raises PachdError where that was deleted."""
        found = commits.select(tx, "WHERE c.number=?", file.commit)
        if not found:
            raise PachdError(f"the commit of the input {file.name} was deleted")
        sources = self._spec.inputs()
        return next(s for s in sources if (s.name, s.repo) == (file.name, found[0].repo)), found[0]

    def _output(self, tx: Transaction) -> Commit:
        current = jobs.reload(tx, self.job)
        if current is None or current.output is None or current.finished is not None:
            raise Interrupted
        return commits.get(tx, current.output)

    def _worker(self) -> Worker:
        variables = {
            "PACH_JOB_ID": self.job.id,
            "PACH_OUTPUT_COMMIT_ID": self.job.id,
            "PPS_PIPELINE_NAME": self._pipeline.name,
            "PPS_PROJECT_NAME": self._pipeline.project,
            "PPS_SPEC_COMMIT": self._pipeline.spec_commit,
        }
        return Worker(self._spec, self._store.blobs, self._sandbox, self._store.scratch, variables, self._interruption)

    def _process(self, worker: Worker, datum: Datum) -> DatumState:
        with self._store.database.read() as tx:
            sources = [
                Source(file, commit.id, _entries(tx, commit.number, file.path), source.empty_files)
                for file, (source, commit) in ((file, self._origin(tx, file)) for file in datum.inputs)
            ]

        def log(lines: list[str], user: bool) -> None:
            self._store.logs.write(self._log, *lines, user=user, datum=datum.id)

        result = worker.run(datum, sources, log)
        with self._store.database.write() as tx:
            self._output(tx)
            if result.state is DatumState.SUCCESS:
                results.save(tx, self.job.pipeline, datum.hash, result.entries)
            datums.set_state(tx, self.job.number, datum, result.state, result.tries, result.stats)
        return result.state

    def _conclude(self) -> None:
        with self._store.database.read() as tx:
            all_datums = datums.of_job(tx, self.job.number)
            image = self._spec.transform.image
            records = {
                meta.path(datum.id): meta.record(self.job, datum, [self._origin(tx, f) for f in datum.inputs], image)
                for datum in all_datums
                if datum.state not in (DatumState.SKIPPED, DatumState.STARTING)
            }
        written = self._store_records(records)
        failed = next((datum for datum in all_datums if datum.state is DatumState.FAILED), None)
        reason = self._failure(failed) if failed else ""
        with self._store.database.write() as tx:
            self._output(tx)
            if self.job.meta is not None:
                trees.write(tx, commits.get(tx, self.job.meta), written)
            reason = jobs.finish(tx, self.job, JobState.FAILURE if reason else JobState.SUCCESS, reason)
            self.say(f"failing job with reason: {reason}" if reason else "job successful, closing commits")

    def _store_records(self, records: dict[str, bytes]) -> list[Entry]:
        found, stored = [], []
        for path, data in records.items():
            writer = self._store.blobs.writer()
            writer.write(data)
            blob = writer.store()
            stored.append(blob)
            found.append(trees.entry(path, blob))
        self._store.blobs.sync(stored)
        return found

    def _failure(self, datum: Datum) -> str:
        """What the user reads first: which datum failed and how, what it said last, and where there is more."""
        error, last = "no reason is known", deque[str](maxlen=SHOWN_LINES)
        for line, _ in logs.read(self._log):
            if line.datum != datum.id:
                continue
            if line.user:
                last.append(line.message[:LONGEST_SHOWN])
            elif line.message == BEGINNING + USER_CODE:
                error = ""
                last.clear()
            elif line.message.startswith(ERRORED):
                error = error or line.message.removeprefix(f"{ERRORED} running {USER_CODE} ")
        project = "" if self.job.project == "default" else f" --project={self.job.project}"
        return "\n".join(
            [
                f"datum {datum.id} failed: {error}",
                *(f"  {text}" for text in last),
                f"see pachctl logs{project} --job={self.job.name}@{self.job.id} --datum={datum.id}",
            ]
        )

    def end(self, state: JobState, reason: str) -> None:
        """End the job with a reason that its user reads."""
        self.say(f"ending job as {state.name.lower()} with reason: {reason}")
        with self._store.database.write() as tx:
            jobs.finish(tx, self.job, state, reason)


def _entries(tx: Transaction, commit: int, path: str) -> list[Entry]:
    tree = Tree(tx, commit)
    if path.endswith("/"):
        return tree.files(path.rstrip("/") or "/")
    entry = tree.file(path)
    return [entry] if entry else []
