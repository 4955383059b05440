"""Calls on jobs, job sets and datums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from betterproto import Message
from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import pps, transaction

from localcluster.pachyderm.clock import now
from localcluster.pachyderm.errors import NotFound, PachdError, Unimplemented, during
from localcluster.pachyderm.names import DEFAULT_PROJECT, CommitName, new_commit_id
from localcluster.pachyderm.pipelines import inputs
from localcluster.pachyderm.servicer import pps_wire, wire
from localcluster.pachyderm.servicer.session import Session
from localcluster.pachyderm.servicer.validation import given
from localcluster.pachyderm.specs import spec as specs
from localcluster.pachyderm.state import commits, datums, jobs, pipelines
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.datums import Datum, DatumState
from localcluster.pachyderm.state.jobs import Job

T = TypeVar("T")


def _get(tx: Transaction, request: Message, missing: str = "must specify a job") -> Job:
    if not given(request, "job"):
        raise PachdError(missing)
    return jobs.get(tx, *pps_wire.pipeline_name(request.job.pipeline), request.job.id)


def inspect_job(request: pps.InspectJobRequest, session: Session) -> pps.JobInfo:
    with session.read() as tx:
        job = _get(tx, request)
    return _inspect(session, job, wait=request.wait, details=request.details) or pps.JobInfo()


def _inspect(session: Session, job: Job, *, wait: bool, details: bool) -> pps.JobInfo | None:
    """The job, with `wait` once it has ended; None once the caller has gone."""

    def look(tx: Transaction) -> pps.JobInfo | None:
        current = jobs.reload(tx, job)
        if current is None:
            raise PachdError(f"job {job.id} was deleted")
        return pps_wire.job_info(tx, current, details=details) if current.state.ended or not wait else None

    return session.wait(look)


def inspect_job_set(request: pps.InspectJobSetRequest, session: Session) -> Iterator[pps.JobInfo]:
    with session.read() as tx:
        found = _job_set(tx, request.job_set.id)
    for job in found:
        if info := _inspect(session, job, wait=request.wait, details=request.details):
            yield info


def _job_set(tx: Transaction, job_id: str) -> list[Job]:
    return jobs.select(tx, "WHERE j.id=? ORDER BY j.number", job_id)


def list_job(request: pps.ListJobRequest, session: Session) -> Iterator[pps.JobInfo]:
    wanted = pps_wire.states(request.jq_filter)
    with session.read() as tx:
        found = [job for job in _select(tx, request) if _in_state(job, wanted)]
        page = _page(found, lambda job: job.created, request)
        infos = [pps_wire.job_info(tx, job, details=request.details) for job in page]
    yield from infos


def _in_state(job: Job, wanted: set[str]) -> bool:
    return not wanted or f"JOB_{job.state.name}" in wanted


def _select(tx: Transaction, request: pps.ListJobRequest) -> list[Job]:
    name = pps_wire.pipeline_name(request.pipeline) if given(request, "pipeline") else None
    versions = {
        (pipeline.number, pipeline.version)
        for pipeline in pipelines.list_versions(tx, name=name, history=request.history)
        if pps_wire.named(request.projects, pipeline.project)
    }
    sets = [_sets_from(tx, wire.commit_of(commit)) for commit in request.input_commit]
    return [
        job
        for job in jobs.select(tx, "ORDER BY j.number")
        if (job.pipeline, job.version) in versions and all(job.id in ids for ids in sets)
    ]


def _sets_from(tx: Transaction, name: CommitName) -> set[str]:
    """The ids of the commit sets in which something is computed from a commit."""
    commit = commits.resolve(tx, name)
    return {downstream.id for downstream in commits.relations(tx, commit).subvenance}


def list_job_set(request: pps.ListJobSetRequest, session: Session) -> Iterator[pps.JobSetInfo]:
    wanted = pps_wire.states(request.jq_filter)
    if request.number < 0:
        raise PachdError("number must be non-negative")
    sets: dict[str, list[Job]] = {}
    with session.read() as tx:
        for job in jobs.select(tx, "ORDER BY j.number"):
            if pps_wire.named(request.projects, job.project) and _in_state(job, wanted):
                sets[job.id] = [*sets.pop(job.id, []), job]
        infos = [
            pps.JobSetInfo(
                pps.JobSet(found[0].id), [pps_wire.job_info(tx, job, details=request.details) for job in found]
            )
            for found in _page(list(sets.values()), lambda found: found[-1].created, request)
        ]
    yield from infos


def _page(found: list[T], created: Callable[[T], int], request: pps.ListJobRequest | pps.ListJobSetRequest) -> list[T]:
    """What a request asks for of things in the order of their creation: newest first unless reversed."""
    if not request.reverse:
        found.reverse()
    marker = wire.microseconds(request.pagination_marker)
    if marker is not None:
        found = [t for t in found if (created(t) > marker if request.reverse else created(t) < marker)]
    return found[: request.number] if request.number > 0 else found


def subscribe_job(request: pps.SubscribeJobRequest, session: Session) -> Iterator[pps.JobInfo]:
    if not given(request, "pipeline"):
        raise PachdError("pipeline must be specified")
    project, name = pps_wire.pipeline_name(request.pipeline)
    last = 0

    def look(tx: Transaction) -> list[pps.JobInfo] | None:
        nonlocal last
        new = jobs.select(
            tx,
            "WHERE p.project=? AND p.name=? AND j.number>? AND j.finished IS NULL ORDER BY j.number",
            project,
            name,
            last,
        )
        last = new[-1].number if new else last
        return [pps_wire.job_info(tx, job, details=request.details) for job in new] or None

    while found := session.wait(look):
        yield from found


def stop_job(request: pps.StopJobRequest, session: Session) -> Empty:
    with session.write() as tx:
        jobs.stop(tx, _get(tx, request, "Job must be specified"), request.reason or "job stopped")
    return Empty()


def delete_job(request: pps.DeleteJobRequest, session: Session) -> Empty:
    with session.write() as tx:
        jobs.delete(tx, _get(tx, request, "job cannot be nil"))
    return Empty()


def batch_transaction(request: transaction.BatchTransactionRequest, session: Session) -> transaction.TransactionInfo:
    """What `pachctl stop job <id of a job set>` sends: nothing but the stopping of jobs."""
    stops = [part.stop_job for part in request.requests]
    if any(part != transaction.TransactionRequest(stop_job=part.stop_job) for part in request.requests):
        raise Unimplemented(
            "transaction_v2.API/BatchTransaction: the local cluster's pachd serves no transaction but `stop job <id>`"
        )
    with session.write() as tx:
        for at, stop in enumerate(stops, 1):
            with during(f"error running request {at} of {len(stops)}"):
                job = _get(tx, stop, "unrecognized transaction request type")
            jobs.stop(tx, job, stop.reason or "job stopped")
    return transaction.TransactionInfo(
        transaction=transaction.Transaction(id=new_commit_id()),
        requests=request.requests,
        responses=[transaction.TransactionResponse() for _ in stops],
        started=wire.time(now()),
    )


def inspect_datum(request: pps.InspectDatumRequest, session: Session) -> pps.DatumInfo:
    if not request.datum.id:
        raise PachdError("must specify a datum")
    with session.read() as tx:
        job = _get(tx, request.datum)
        datum = next((datum for datum in _datums(tx, job) if datum.id == request.datum.id), None)
        if datum is None:
            raise PachdError(f"datum {request.datum.id} not found in job {job}")
        return pps_wire.datum_info(tx, job, datum)


def restart_datum(request: pps.RestartDatumRequest, session: Session) -> Empty:
    with session.read() as tx:
        job = _get(tx, request)
    filters = request.data_filters
    restart = None if job.finished else session.store.restarts.get(job.number)
    if restart is None or not restart(lambda datum: pps_wire.passes(pps_wire.input_files(datum), filters)):
        raise PachdError(f"datum matching filter [{' '.join(filters)}] could not be found for job ID {job.id}")
    return Empty()


def _datums(tx: Transaction, job: Job) -> list[Datum]:
    """A job's datums as its meta commit has them: those that were worked on, and of the others what the base had."""
    base = jobs.base(tx, job)
    known = datums.ids(tx, base.number) if base else set()
    every = datums.of_job(tx, job.number)
    return [
        replace(datum, state=DatumState.SKIPPED) if datum.state is DatumState.STARTING else datum
        for datum in every
        if datum.state is not DatumState.STARTING or datum.id in known
    ]


def list_datum(request: pps.ListDatumRequest, session: Session) -> Iterator[pps.DatumInfo]:
    if given(request, "job") and given(request, "input"):
        raise PachdError("cannot specify both job and input")
    if request.reverse and not request.number:
        raise PachdError("number must be > 0 when reverse is set")
    with session.read() as tx:
        job = None if given(request, "input") else _get(tx, request)
        every = _datums(tx, job) if job else _would_be(tx, request.input)
        asked = sorted((d for d in every if _asked(d, request)), key=lambda datum: datum.id, reverse=request.reverse)
        infos = [pps_wire.datum_info(tx, job, datum) for datum in asked]
    yield from infos[: request.number] if request.number > 0 else infos


def _would_be(tx: Transaction, node: pps.Input) -> list[Datum]:
    """The datums that a pipeline with this input would have now."""
    specs.set_input_defaults(node, DEFAULT_PROJECT)
    tree = specs.parse_input(node)
    try:
        heads = {leaf: commits.resolve(tx, CommitName(leaf.repo, branch=leaf.branch)) for leaf in specs.leaves(tree)}
    except NotFound as missing:
        raise PachdError(str(missing)) from None  # upstream's own client has dropped the code by then
    return inputs.find(tx, tree, heads.__getitem__, salt="")


def _asked(datum: Datum, request: pps.ListDatumRequest) -> bool:
    marker = request.pagination_marker
    beyond = not marker or (datum.id < marker if request.reverse else datum.id > marker)
    return beyond and (not request.filter.state or datum.state in request.filter.state)
