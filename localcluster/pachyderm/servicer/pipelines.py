"""Calls on pipelines."""

from __future__ import annotations

import json
from collections.abc import Iterator

from betterproto import Message
from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import pps

from localcluster.pachyderm.errors import BadSpec, NotFound, PachdError, during
from localcluster.pachyderm.names import SPEC, CommitName
from localcluster.pachyderm.servicer import pps_wire, wire
from localcluster.pachyderm.servicer.session import Session
from localcluster.pachyderm.servicer.validation import given
from localcluster.pachyderm.specs import schema
from localcluster.pachyderm.specs import spec as specs
from localcluster.pachyderm.specs.effective import effective_json, message
from localcluster.pachyderm.state import commits, pipelines
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.pipelines import Pipeline


def create_pipeline_v2(request: pps.CreatePipelineV2Request, session: Session) -> pps.CreatePipelineV2Response:
    text = request.create_pipeline_request_json
    try:
        document = json.loads(text)
        effective = message(document)
    except json.JSONDecodeError as error:
        raise schema.syntax(text, error) from None
    except schema.Misfit as fault:
        raise schema.located(fault, text) from None
    except RecursionError as error:
        raise BadSpec(str(error)) from None
    effective.update, effective.reprocess = request.update, request.reprocess
    if not request.dry_run:
        spec = specs.parse(document)
        stored = effective_json(document)
        with session.write() as tx:
            pipelines.create(tx, spec, text, stored, update=request.update, reprocess=request.reprocess)
    return pps.CreatePipelineV2Response(effective.to_json())


def create_pipeline(request: pps.CreatePipelineRequest, session: Session) -> Empty:
    asked = pps.CreatePipelineV2Request(
        request.to_json(), dry_run=request.dry_run, update=request.update, reprocess=request.reprocess
    )
    create_pipeline_v2(asked, session)
    return Empty()


def rerun_pipeline(request: pps.RerunPipelineRequest, session: Session) -> Empty:
    with session.write() as tx:
        name = pps_wire.pipeline_name(request.pipeline)
        with during(f'inspect pipeline "{"/".join(name)}"'):
            old = pipelines.get(tx, *name)
        pipelines.create(tx, old.spec, old.user_json, old.effective_json, update=True, reprocess=request.reprocess)
    return Empty()


def inspect_pipeline(request: pps.InspectPipelineRequest, session: Session) -> pps.PipelineInfo:
    with session.read() as tx:
        pipeline = pipelines.get(tx, *pps_wire.pipeline_name(request.pipeline))
        return pps_wire.pipeline_info(tx, pipeline, details=request.details)


def list_pipeline(request: pps.ListPipelineRequest, session: Session) -> Iterator[pps.PipelineInfo]:
    wanted = pps_wire.states(request.jq_filter)
    name = pps_wire.pipeline_name(request.pipeline) if request.pipeline.name else None
    with session.read() as tx, during("could not list pipeline info"):
        found: list[Pipeline | None] = [
            _at(tx, pipeline, request.commit_set.id) if request.commit_set.id else pipeline
            for pipeline in pipelines.list_versions(tx, name=name, history=request.history)
            if pps_wire.named(request.projects, pipeline.project)
        ]
        infos = [pps_wire.pipeline_info(tx, pipeline) for pipeline in found if pipeline]
    infos = [info for info in infos if not wanted or info.state.name in wanted]
    if size := request.page.page_size:
        infos = infos[request.page.page_index * size :][:size]
    yield from infos


def _at(tx: Transaction, pipeline: Pipeline, commit_set: str) -> Pipeline | None:
    """The version that the commit set was computed with, or None where the pipeline has no part in it."""
    try:
        spec_commit = commits.resolve(tx, CommitName(pipeline.repo(SPEC), commit_set))
    except NotFound:
        return None
    found = pipelines.select(tx, "WHERE p.number=? AND v.spec_commit=?", pipeline.number, spec_commit.id)
    return found[0] if found else None


def start_pipeline(request: pps.StartPipelineRequest, session: Session) -> Empty:
    with session.write() as tx:
        pipelines.start(tx, pipelines.get(tx, *_required(request)))
    return Empty()


def stop_pipeline(request: pps.StopPipelineRequest, session: Session) -> Empty:
    with session.write() as tx:
        if pipeline := _find(tx, _required(request), must_exist=request.must_exist):
            pipelines.stop(tx, pipeline)
    return Empty()


def _required(request: Message) -> tuple[str, str]:
    if not given(request, "pipeline"):
        raise PachdError("request.Pipeline cannot be nil")
    return pps_wire.pipeline_name(request.pipeline)


def delete_pipeline(request: pps.DeletePipelineRequest, session: Session) -> Empty:
    with session.write() as tx:
        name = pps_wire.pipeline_name(request.pipeline)
        with during(f"error stopping pipeline {'/'.join(name)}"):
            pipeline = _find(tx, name, must_exist=request.must_exist)
        if pipeline:
            pipelines.delete(tx, pipeline, keep_repo=request.keep_repo, force=request.force)
    return Empty()


def _find(tx: Transaction, name: tuple[str, str], *, must_exist: bool) -> Pipeline | None:
    return pipelines.get(tx, *name) if must_exist else pipelines.find(tx, *name)


def delete_pipelines(request: pps.DeletePipelinesRequest, session: Session) -> pps.DeletePipelinesResponse:
    projects = wire.project_names(request.projects)
    with session.write() as tx:
        doomed = [p for p in pipelines.list_versions(tx) if request.all or p.project in projects]
        for pipeline in doomed:
            pipelines.stop(tx, pipeline)
        for pipeline in doomed:
            pipelines.delete(tx, pipeline, keep_repo=request.keep_repo, force=request.force)
    return pps.DeletePipelinesResponse([pps_wire.pipeline_message(p.project, p.name) for p in doomed])


def run_cron(request: pps.RunCronRequest, session: Session) -> Empty:
    with session.read() as tx:
        pipelines.get(tx, *pps_wire.pipeline_name(request.pipeline))
    raise PachdError("pipeline doesn't have a cron input")
