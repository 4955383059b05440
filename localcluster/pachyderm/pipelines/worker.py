"""One datum from its inputs to its stored output: its files below /pfs, the user's command, what that wrote."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from localcluster.pachyderm.blobs import Blobs
from localcluster.pachyderm.errors import PachdError
from localcluster.pachyderm.pipelines import outputs
from localcluster.pachyderm.pipelines.sandbox import Command, Outcome, Process, Sandbox, base_environment, new_place
from localcluster.pachyderm.specs.spec import Spec
from localcluster.pachyderm.state.datums import Datum, DatumInput, DatumState, Stats
from localcluster.pachyderm.state.trees import Entry

USER_CODE = "user code"
BEGINNING = "beginning to run "
ERRORED = "errored"

LONGEST_LINE = 64 * 1024
"""Bytes of a log line; a longer one is cut into several."""


class Interrupted(Exception):
    """The job was stopped while a datum of it ran; the datum has no result."""


@dataclass(frozen=True)
class Result:
    """How a datum went; `entries` is its output, `reason` why it failed."""

    state: DatumState
    tries: int
    stats: Stats
    entries: list[Entry]
    reason: str = ""


@dataclass(frozen=True)
class Source:
    """One input of a datum: the files that it consists of, and its commit's id."""

    input: DatumInput
    commit_id: str
    entries: list[Entry]
    empty: bool


class Interruption:
    """Ends the processes of a job when somebody wants the job to end, or when its time is up."""

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._lock = threading.Lock()
        self._processes: dict[Process, Datum] = {}
        self._restarted: set[Process] = set()
        self._wanted = False

    def interrupt(self) -> None:
        """End what runs, and let nothing more begin."""
        with self._lock:
            self._wanted = True
            for process in self._processes:
                process.kill()

    def restart(self, wanted: Callable[[Datum], bool]) -> bool:
        """End what runs of some datums, so that they are tried again; False where none of them runs."""
        with self._lock:
            found = {process for process, datum in self._processes.items() if wanted(datum)}
            for process in found:
                process.kill()
            self._restarted |= found
        return bool(found)

    def late(self) -> bool:
        """Whether the job has used up its time."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def check(self) -> None:
        """Raise Interrupted where the job is to end."""
        if self._wanted or self.late():
            raise Interrupted

    def seconds(self, datum_timeout: float | None) -> float | None:
        """How long a process may run; None for ever."""
        limits = [datum_timeout, None if self._deadline is None else max(self._deadline - time.monotonic(), 0)]
        return min((limit for limit in limits if limit is not None), default=None)

    @contextmanager
    def watching(self, process: Process, datum: Datum) -> Iterator[Callable[[], bool]]:
        """The block, at whose end the process is over; gives what tells whether it was ended by `restart`."""
        with self._lock:
            self._processes[process] = datum
            if self._wanted:
                process.kill()
        try:
            yield lambda: process in self._restarted
        finally:
            with self._lock:
                del self._processes[process]
                self._restarted.discard(process)


@dataclass(frozen=True)
class Worker:
    """Runs the datums of one job; `log(message, user)` takes lines, `variables` what the environment has of the job."""

    spec: Spec
    blobs: Blobs
    sandbox: Sandbox
    scratch: Path
    variables: dict[str, str]
    interruption: Interruption

    def run(self, datum: Datum, sources: list[Source], log: Callable[[list[str], bool], None]) -> Result:
        """Try the datum as often as its pipeline allows.  Raises Interrupted."""
        attempt = _Attempt(self, datum, sources, log)
        result = Result(DatumState.FAILED, 0, Stats(), [])
        name = f"{self.variables['PPS_SPEC_COMMIT']}-{self.variables['PACH_JOB_ID']}-{datum.id}"
        for tries in range(1, self.spec.datum_tries + 1):
            self.interruption.check()
            with new_place(self.scratch, f"{name}-{tries}") as place:
                latest = replace(attempt.run(place), tries=tries)
            self.interruption.check()
            if latest.state is DatumState.SUCCESS:
                return latest
            if result.state is not DatumState.RECOVERED:
                result = latest
        return replace(result, tries=self.spec.datum_tries)


@dataclass(frozen=True)
class _Attempt:
    worker: Worker
    datum: Datum
    sources: list[Source]
    log: Callable[[list[str], bool], None]

    def run(self, place: Path) -> Result:
        stats = Stats()
        try:
            stats = self._download(place)
            began = time.monotonic()
            error, recovered = self._user_code(place)
            stats = replace(stats, process_time=_since(began))
            if error:
                return Result(DatumState.RECOVERED if recovered else DatumState.FAILED, 0, stats, [], error)
            began = time.monotonic()
            entries = outputs.collect(self.worker.blobs, place / "pfs")
        except (PachdError, OSError) as refused:
            self.log([f"{ERRORED}: {refused}"], False)
            return Result(DatumState.FAILED, 0, stats, [], str(refused))
        size = sum(entry.size for entry in entries)
        return Result(DatumState.SUCCESS, 0, replace(stats, upload_time=_since(began), upload_bytes=size), entries)

    def _download(self, place: Path) -> Stats:
        began, size = time.monotonic(), 0
        pfs = place / "pfs"
        (pfs / "out").mkdir()
        (pfs / ".env").write_text("".join(f"{name}={value}\n" for name, value in self._environment(place).items()))
        for source in self.sources:
            (pfs / source.input.name).mkdir(exist_ok=True)
            for entry in source.entries:
                target = pfs / source.input.name / entry.path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb", buffering=0) as stream:
                    for data in [] if source.empty else self.worker.blobs.read(entry.pieces):
                        stream.write(data)
                        size += len(data)
        return Stats(download_time=_since(began), download_bytes=size)

    def _environment(self, place: Path) -> dict[str, str]:
        pfs = self.worker.sandbox.pfs(place)
        of_datum = {"PACH_DATUM_ID": self.datum.id}
        for source in self.sources:
            of_datum[source.input.name] = f"{pfs}/{source.input.name}{source.input.path.rstrip('/')}"
            of_datum[f"{source.input.name}_COMMIT"] = source.commit_id
        return base_environment() | dict(self.worker.spec.transform.env) | self.worker.variables | of_datum

    def _user_code(self, place: Path) -> tuple[str, bool]:
        """Why the command failed, or "", and whether the error command made up for that."""
        transform, accepted = self.worker.spec.transform, self.worker.spec.transform.accept_return_code
        outcome, error = self._execute(place, USER_CODE, transform.cmd, transform.stdin, accepted)
        if not error or outcome is None or not transform.err_cmd:
            return error, False
        what = "user error handling code"
        return error, not self._execute(place, what, transform.err_cmd, transform.err_stdin, accepted)[1]

    def _execute(
        self, place: Path, what: str, argv: tuple[str, ...], stdin: tuple[str, ...], accepted: frozenset[int]
    ) -> tuple[Outcome | None, str]:
        """How a command ended (None: it took too long, or was to be restarted), and why that is a failure, or ""."""
        spec, interruption = self.worker.spec, self.worker.interruption
        given = "".join(f"{line}\n" for line in stdin).encode() if stdin else None
        command = Command(argv, given, self._environment(place), spec.transform.working_dir)
        self.log([BEGINNING + what], False)
        began = time.monotonic()
        lines = _Lines(lambda found: self.log(found, True))
        process = self.worker.sandbox.start(command, place)
        error = "signal: killed because context deadline exceeded (timeout)"
        with interruption.watching(process, self.datum) as restarted:
            outcome = process.wait(lines.write, interruption.seconds(spec.datum_timeout))
            if restarted():
                outcome, error = None, "signal: killed because context canceled (restarted)"
        lines.end()
        took = f"{time.monotonic() - began:.3f}s"
        if outcome and (outcome.exit == 0 or outcome.exit in accepted):
            self.log([f"finished running {what} after {took}"], False)
            return outcome, ""
        error = str(outcome) if outcome else error
        self.log([f"{ERRORED} running {what} after {took}: {error}"], False)
        return outcome, error


class _Lines:
    """Cuts what a command writes into lines."""

    def __init__(self, write: Callable[[list[str]], None]) -> None:
        self._write = write
        self._rest = b""

    def write(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            whole, self._rest = [*whole, self._rest], b""
        if whole:
            self._write([line.decode(errors="replace") for line in whole])

    def end(self) -> None:
        if self._rest:
            self.write(b"\n")


def _since(began: float) -> int:
    """Microseconds since a moment of the monotonic clock."""
    return round((time.monotonic() - began) * 1_000_000)
