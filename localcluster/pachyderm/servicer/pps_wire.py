"""Between the messages of pps_v2 and the state's own types."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

from pachyderm_sdk.api import pfs, pps

from localcluster.pachyderm.errors import Unimplemented
from localcluster.pachyderm.names import DEFAULT_PROJECT, META, SPEC, RepoName
from localcluster.pachyderm.servicer import wire
from localcluster.pachyderm.specs import effective
from localcluster.pachyderm.specs import spec as specs
from localcluster.pachyderm.state import commits, datums, jobs, pipelines
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.datums import Datum, DatumInput, Stats
from localcluster.pachyderm.state.jobs import Job
from localcluster.pachyderm.state.pipelines import Pipeline

T = TypeVar("T", pps.PipelineInfoDetails, pps.JobInfoDetails)

_CONDITION = re.compile(r'\.state == "(\w+)"')


def pipeline_name(pipeline: pps.Pipeline) -> tuple[str, str]:
    """Project and name, with upstream's default."""
    return pipeline.project.name or DEFAULT_PROJECT, pipeline.name


def pipeline_message(project: str, name: str) -> pps.Pipeline:
    """A reference to a pipeline."""
    return pps.Pipeline(project=pfs.Project(name=project), name=name)


def job_message(job: Job) -> pps.Job:
    """A reference to a job."""
    return pps.Job(pipeline=pipeline_message(job.project, job.name), id=job.id)


def states(jq_filter: str) -> set[str]:
    """The states that a filter lets through, empty for all; of jq, what `pachctl list … --state` writes is served."""
    conditions = [_CONDITION.fullmatch(part) for part in jq_filter.split(" or ")] if jq_filter else []
    found = {condition[1] for condition in conditions if condition}
    if len(found) < len(conditions):
        raise Unimplemented(f"the local cluster's pachd serves no jq filter but on the state, not {jq_filter!r}")
    return found


def pipeline_info(tx: Transaction, pipeline: Pipeline, *, details: bool = True) -> pps.PipelineInfo:
    """A version of a pipeline as listed, with the state of the last job that it or an older version had."""
    last = jobs.select(
        tx,
        "WHERE j.pipeline=? AND j.version<=? ORDER BY j.number DESC LIMIT 1",
        pipeline.number,
        pipeline.version,
    )
    info = pps.PipelineInfo(
        pipeline=pipeline_message(pipeline.project, pipeline.name),
        version=pipeline.version,
        spec_commit=_commit(pipeline.repo(SPEC), pipelines.SPEC_BRANCH, pipeline.spec_commit),
        stopped=pipeline.stopped,
        state=pps.PipelineState(pipeline.state),
        parallelism=pipeline.spec.parallelism,
        type=pps.PipelineInfoPipelineType.PIPELINE_TYPE_TRANSFORM,
        user_spec_json=pipeline.user_json,
        effective_spec_json=pipeline.effective_json,
    )
    if last:
        info.last_job_state = pps.JobState(last[0].state)
    if details:
        info.details = _details(pps.PipelineInfoDetails, pipeline)
        info.details.created_at = wire.time(pipeline.created)
        info.details.updated_at = wire.time(pipeline.updated)
        info.details.workers_requested = info.details.workers_available = pipeline.spec.parallelism
    return info


def _details(kind: type[T], pipeline: Pipeline) -> T:
    """Pipeline or job details with the fields that they share with the specification."""
    shared = _fields(pipeline.effective_json)
    return kind(
        **{name: shared[name] for name in shared.keys() & kind.__dataclass_fields__.keys()} | {"salt": pipeline.salt}
    )


@lru_cache(maxsize=256)
def _fields(effective_json: str) -> dict[str, Any]:
    """The fields that a specification sets; their values are shared by many answers."""
    request = effective.message(json.loads(effective_json))
    specs.set_input_defaults(request.input, request.pipeline.project.name)
    return {name: value for name in request.__dataclass_fields__ if (value := getattr(request, name))}


def _commit(repo: RepoName, branch: str, commit_id: str) -> pfs.Commit:
    """A reference to a commit with its branch, which pps_v2 sends where pfs_v2 does not."""
    message = wire.repo_message(repo)
    return pfs.Commit(repo=message, id=commit_id, branch=pfs.Branch(repo=message, name=branch))


def job_info(tx: Transaction, job: Job, *, details: bool = False) -> pps.JobInfo:
    """A job as listed."""
    counts, stats = datums.summary(tx, job.number)
    pipeline = pipelines.at_version(tx, job.pipeline, job.version)
    info = pps.JobInfo(
        job=job_message(job),
        pipeline_version=job.version,
        output_commit=_commit(pipeline.repo(), pipeline.spec.output_branch, job.id),
        restart=job.restarts,
        data_processed=counts.processed,
        data_skipped=counts.skipped,
        data_failed=counts.failed,
        data_recovered=counts.recovered,
        data_total=counts.total,
        stats=_stats(stats),
        state=pps.JobState(job.state),
        reason=job.reason,
        created=wire.time(job.created),
        started=wire.time(job.started),
        finished=wire.time(job.finished),
    )
    if details:
        info.details = _details(pps.JobInfoDetails, pipeline)
        info.details.input = _at_commit(info.details.input, job.id)
    return info


def _at_commit(node: pps.Input, commit_id: str) -> pps.Input:
    """The input of a job, whose every PFS input is at the job's own commit set."""
    if node.pfs:
        return pps.Input(pfs=replace(node.pfs, commit=commit_id))
    return pps.Input(
        cross=[_at_commit(child, commit_id) for child in node.cross],
        union=[_at_commit(child, commit_id) for child in node.union],
    )


def _stats(stats: Stats) -> pps.ProcessStats:
    values = asdict(stats)
    message = pps.ProcessStats(
        **{name: timedelta(microseconds=value) for name, value in values.items() if name.endswith("_time")}
    )
    # Assigned, not passed, so that the message is sent when all is 0: pachctl reads it without looking.
    message.download_bytes = stats.download_bytes
    message.upload_bytes = stats.upload_bytes
    return message


def datum_info(tx: Transaction, job: Job | None, datum: Datum) -> pps.DatumInfo:
    """A datum as listed; without a job it is one that a pipeline would have."""
    info = pps.DatumInfo(
        datum=pps.Datum(id=datum.id),
        data=[_file_info(tx, file) for file in datum.inputs],
        stats=_stats(datum.stats),
    )
    if job:
        info.datum.job = job_message(job)
        info.state = pps.DatumState(datum.state)
        meta = pfs.Commit(repo=wire.repo_message(RepoName(job.project, job.name, META)), id=job.id)
        info.pfs_state = pfs.File(commit=meta, path=f"/pfs/{datum.id}")
    return info


def input_files(datum: Datum) -> list[pps.InputFile]:
    """A datum's input files as logs and filters name them."""
    return [pps.InputFile(path=file.path, hash=bytes.fromhex(file.hash)) for file in datum.inputs]


def passes(files: Sequence[pps.InputFile], filters: Sequence[str]) -> bool:
    """Whether every filter names one of the input files, by its path or hash."""
    names = {name for file in files for name in (file.path, file.hash.hex(), base64.b64encode(file.hash).decode())}
    return names.issuperset(filters)


def _file_info(tx: Transaction, file: DatumInput) -> pfs.FileInfo:
    found = commits.select(tx, "WHERE c.number=?", file.commit)
    return pfs.FileInfo(
        file=pfs.File(commit=wire.commit_message(found[0]) if found else pfs.Commit(), path=file.path),
        file_type=pfs.FileType.DIR if file.is_directory else pfs.FileType.FILE,
        committed=wire.time(found[0].finished) if found else None,
        size_bytes=file.size,
        hash=bytes.fromhex(file.hash),
    )


def named(projects: Sequence[pfs.Project], project: str) -> bool:
    """Whether a list of projects, empty for all, has this one."""
    return not projects or project in wire.project_names(projects)
