"""Pipelines: their versions, their repos and branches, and starting and stopping them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from localcluster.pachyderm.clock import now
from localcluster.pachyderm.errors import AlreadyExists, BadSpec, NotFound, PachdError, ProjectNotFound, during
from localcluster.pachyderm.names import META, SPEC, USER, CommitName, RepoName, new_commit_id, parse_version
from localcluster.pachyderm.specs import spec as specs
from localcluster.pachyderm.specs.spec import Spec
from localcluster.pachyderm.state import branches, commits, jobs, repos, trees
from localcluster.pachyderm.state.commits import Origin
from localcluster.pachyderm.state.database import Transaction

SPEC_BRANCH = "master"


class PipelineState(IntEnum):
    """What a pipeline is doing, numbered as pps_v2.PipelineState."""

    STARTING = 1
    RUNNING = 2
    RESTARTING = 3
    FAILURE = 4
    PAUSED = 5
    STANDBY = 6
    CRASHING = 7


@dataclass(frozen=True)
class Pipeline:
    """A version of a pipeline; `spec_commit` is an id, `salt` goes into its datums' hashes, times in microseconds."""

    number: int
    project: str
    name: str
    version: int
    stopped: bool
    created: int
    updated: int
    spec_commit: str
    salt: str
    user_json: str
    effective_json: str

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"

    @property
    def state(self) -> PipelineState:
        """Running unless stopped: without containers there is nothing that it waits for."""
        return PipelineState.PAUSED if self.stopped else PipelineState.RUNNING

    @property
    def spec(self) -> Spec:
        """What the version's specification says."""
        return _load(self.effective_json)

    def repo(self, kind: str = USER) -> RepoName:
        """The output repo, or the one of the type SPEC or META."""
        return RepoName(self.project, self.name, kind)


_load = lru_cache(maxsize=256)(specs.load)

_SELECT = """
SELECT p.number, p.project, p.name, v.version, p.stopped, p.created, v.updated, v.spec_commit, v.salt, v.user_json,
  v.effective_json FROM pipelines p JOIN pipeline_versions v ON v.pipeline = p.number
"""


def _pipeline(row: sqlite3.Row) -> Pipeline:
    number, project, name, version, stopped, *rest = row
    return Pipeline(number, project, name, version, bool(stopped), *rest)


def select(tx: Transaction, where: str, *parameters: object) -> list[Pipeline]:
    """The versions `v` of pipelines `p` that satisfy an SQL condition (with whatever ORDER BY it ends in)."""
    return [_pipeline(row) for row in tx.execute(f"{_SELECT} {where}", parameters)]


def find(tx: Transaction, project: str, name: str) -> Pipeline | None:
    """The pipeline in its current version, or None."""
    found = select(tx, "WHERE p.project=? AND p.name=? AND v.version=p.version", project, name)
    return found[0] if found else None


def get(tx: Transaction, project: str, name: str) -> Pipeline:
    """The pipeline in its current version, or with `name^2` two versions back.  Raises NotFound."""
    ancestry = parse_version(name)
    pipeline = find(tx, project, ancestry.base)
    if pipeline is None:
        named = f'pipeline "{project}/{ancestry.base}"'
        with during(f"pipeline was not inspected: couldn't find up to date spec for {named}"):
            try:
                commits.resolve(tx, CommitName(RepoName(project, ancestry.base, SPEC), branch=SPEC_BRANCH))
            except ProjectNotFound:
                raise
            except NotFound as missing:
                raise NotFound(f"{missing}\n{named} not found") from None
        raise NotFound(f"{named} not found")
    if ancestry.back >= pipeline.version:
        raise PachdError(
            f'pipeline "{pipeline}" has only {pipeline.version} versions, not enough to find ancestor {ancestry.back}'
        )
    return at_version(tx, pipeline.number, pipeline.version - ancestry.back)


def at_version(tx: Transaction, number: int, version: int) -> Pipeline:
    """A version, which exists, of the pipeline with this row number."""
    return select(tx, "WHERE p.number=? AND v.version=?", number, version)[0]


def list_versions(
    tx: Transaction, *, projects: Collection[str] = (), name: tuple[str, str] | None = None, history: int = 0
) -> list[Pipeline]:
    """Pipelines, newest version first, with `history` older versions of each (-1: all of them).

    `projects` empty means any project; `name` (project, name) means that one, which raises NotFound if missing.
    """
    found = select(
        tx,
        "WHERE v.version >= p.version - ? OR ? < 0 ORDER BY v.updated DESC, p.number DESC, v.version DESC",
        history,
        history,
    )
    if name and find(tx, *name) is None:
        raise NotFound(f'pipeline "{"/".join(name)}" not found')
    if name:
        found = [pipeline for pipeline in found if (pipeline.project, pipeline.name) == name]
    return [pipeline for pipeline in found if not projects or pipeline.project in projects]


def create(
    tx: Transaction, spec: Spec, user_json: str, effective_json: str, *, update: bool = False, reprocess: bool = False
) -> Pipeline:
    """Make a pipeline with its repos, branches and first job, or with `update` a new version of one that exists.

    Raises NotFound where the project or the repo of an input is missing, AlreadyExists where the pipeline is there,
    PachdError where a repo of its name is.
    """
    old = find(tx, spec.project, spec.name)
    if old and not update:
        raise AlreadyExists(f'pipeline "{old}" already exists')
    try:
        repos.get_project(tx, spec.project)
    except ProjectNotFound as missing:
        defaults = f"could not get defaults for project {spec.project}"
        raise BadSpec(f'{defaults}: {defaults}: error getting project "{spec.project}": {missing}') from None
    for source in spec.inputs():
        repos.get(tx, source.repo)
    commit_id = new_commit_id()
    if old is None:
        _make_repos(tx, spec)
    salt = old.salt if old and not reprocess else (not reprocess and spec.salt) or new_commit_id()
    number = _store(tx, spec, old, (commit_id, user_json, effective_json, salt))
    pipeline = at_version(tx, number, old.version + 1 if old else 1)
    _start_spec_commit(tx, pipeline)
    if old:
        _kill_jobs(tx, old, "all jobs killed because pipeline was updated")
        if old.spec.output_branch != spec.output_branch:
            _connect(tx, old, [])
    with during("could not create/update output branch"):
        _connect(tx, pipeline, [] if pipeline.stopped else _provenance(pipeline), commit_id)
    branches.propagate(tx, branches.get(tx, pipeline.repo(SPEC), SPEC_BRANCH), commit_id)
    return pipeline


def _make_repos(tx: Transaction, spec: Spec) -> None:
    name = f"{spec.project}/{spec.name}"
    if repos.find(tx, RepoName(spec.project, spec.name)):
        raise PachdError(f'pipeline "{spec.name}" cannot be created because a repo with the same name already exists')
    repos.create(tx, RepoName(spec.project, spec.name), f"Output repo for pipeline {name}.")
    repos.create(tx, RepoName(spec.project, spec.name, SPEC), f"Spec repo for pipeline {name}.", update=True)
    repos.create(tx, RepoName(spec.project, spec.name, META), f"Meta repo for pipeline {spec.name}", update=True)


def _store(tx: Transaction, spec: Spec, old: Pipeline | None, version: tuple[str, str, str, str]) -> int:
    moment = now()
    tx.execute(
        "INSERT INTO pipelines (project, name, version, output_branch, stopped, created) VALUES (?, ?, 1, ?, 0, ?)"
        " ON CONFLICT (project, name) DO UPDATE SET version=version + 1, output_branch=excluded.output_branch",
        (spec.project, spec.name, spec.output_branch, moment),
    )
    number: int = tx.execute(
        "SELECT number FROM pipelines WHERE project=? AND name=?", (spec.project, spec.name)
    ).fetchone()[0]
    tx.execute(
        "INSERT INTO pipeline_versions (spec_commit, user_json, effective_json, salt, pipeline, version, updated)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*version, number, old.version + 1 if old else 1, moment),
    )
    return number


def _start_spec_commit(tx: Transaction, pipeline: Pipeline) -> None:
    repo = repos.get(tx, pipeline.repo(SPEC))
    branch = branches.find(tx, repo, SPEC_BRANCH)
    parent = branch.head if branch else None
    commit = commits.insert(tx, repo, pipeline.spec_commit, SPEC_BRANCH, parent, Origin.USER)
    trees.finish(tx, commit)
    branches.set_head(tx, repo, SPEC_BRANCH, commit)


def _provenance(pipeline: Pipeline) -> list[tuple[RepoName, str]]:
    inputs = [(source.repo, source.branch) for source in pipeline.spec.inputs()]
    return [*dict.fromkeys(inputs), (pipeline.repo(SPEC), SPEC_BRANCH)]


def _connect(
    tx: Transaction, pipeline: Pipeline, provenance: Sequence[tuple[RepoName, str]], commit_id: str = ""
) -> None:
    """Let output and meta branch be computed from `provenance`, which starts a job where it is new."""
    commit_id = commit_id or new_commit_id()
    for kind in (USER, META):
        branches.create(tx, pipeline.repo(kind), pipeline.spec.output_branch, None, provenance, commit_id)


def _kill_jobs(tx: Transaction, pipeline: Pipeline, reason: str) -> None:
    for job in jobs.select(tx, "WHERE j.pipeline=? AND j.finished IS NULL ORDER BY j.number", pipeline.number):
        jobs.stop(tx, job, reason)


def start(tx: Transaction, pipeline: Pipeline) -> None:
    """Let a stopped pipeline follow its inputs again; it begins with a job for their heads."""
    _connect(tx, pipeline, _provenance(pipeline))
    tx.execute("UPDATE pipelines SET stopped=0 WHERE number=?", (pipeline.number,))


def stop(tx: Transaction, pipeline: Pipeline) -> None:
    """Kill the pipeline's jobs and let it take no notice of its inputs until it is started."""
    _connect(tx, pipeline, [])
    tx.execute("UPDATE pipelines SET stopped=1 WHERE number=?", (pipeline.number,))
    _kill_jobs(tx, pipeline, "all jobs killed because pipeline was stopped")


def delete(tx: Transaction, pipeline: Pipeline, *, keep_repo: bool = False, force: bool = False) -> None:
    """Remove a pipeline with its jobs and repos; with `keep_repo` its output repo becomes one like any other.

    Raises PachdError where a branch elsewhere is computed from its output, unless `force`.
    """
    stop(tx, pipeline)
    tx.execute("DELETE FROM pipelines WHERE number=?", (pipeline.number,))
    for kind in (SPEC, META) if keep_repo else (USER,):
        repos.delete(tx, pipeline.repo(kind), force=force)
