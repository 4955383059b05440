"""Pipelines: their specifications, versions, repos and branches, starting, stopping and deleting."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from tests.contract.pachyderm.helpers import Pipelines, ended, files_of, output_of, put, refused


def document(pipeline: pps.Pipeline, repo: pfs.Repo) -> dict[str, Any]:
    """A specification as in a file."""
    return {
        "pipeline": {"name": pipeline.name},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": repo.name, "glob": "/*"}},
    }


def deploy(client: Client, spec: object, **flags: bool) -> dict[str, Any]:
    """Create a pipeline from a document; the effective specification."""
    answer = client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec), **flags)
    effective: dict[str, Any] = json.loads(answer.effective_create_pipeline_request_json)
    return effective


def version(client: Client, pipeline: pps.Pipeline) -> int:
    """The pipeline's current version."""
    return int(client.pps.inspect_pipeline(pipeline=pipeline).version)


def jobs(client: Client, pipeline: pps.Pipeline, history: int = 0) -> list[pps.JobInfo]:
    """The pipeline's jobs, newest first."""
    return list(client.pps.list_job(pipeline=pipeline, history=history))


def test_a_pipeline_has_the_defaults(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    name = pipelines.name()
    spec = document(name, repo)
    effective = deploy(client, spec)
    assert effective["outputBranch"] == "master"
    assert int(effective["datumTries"]) == 3
    assert effective["reprocessSpec"] == "until_success"
    assert effective["transform"]["cmd"] == ["true"]
    assert effective["transform"]["image"]
    info = client.pps.inspect_pipeline(pipeline=name, details=True)
    assert (info.version, info.stopped, info.parallelism) == (1, False, 1)
    assert info.type == pps.PipelineInfoPipelineType.PIPELINE_TYPE_TRANSFORM
    source = info.details.input.pfs
    assert (source.name, source.repo, source.branch, source.glob, source.project, source.repo_type) == (
        repo.name,
        repo.name,
        "master",
        "/*",
        "default",
        "user",
    )
    assert info.details.output_branch == "master"
    assert info.details.datum_tries == 3
    assert len(info.details.salt) == 32
    assert info.details.created_at == info.details.updated_at
    assert json.loads(info.user_spec_json) == spec
    assert json.loads(info.effective_spec_json)["outputBranch"] == "master"


def test_a_pipeline_has_its_repos_and_branches(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    name = pipelines.create(files_of(repo), "true")
    for kind in ("user", "spec", "meta"):
        info = client.pfs.inspect_repo(repo=pfs.Repo(name=name.name, type=kind, project=name.project))
        assert [branch.name for branch in info.branches] == ["master"]
    branch = client.pfs.inspect_branch(branch=pfs.Branch(repo=output_of(name), name="master"))
    upstream = {(source.repo.name, source.repo.type, source.name) for source in branch.direct_provenance}
    assert upstream == {(repo.name, "user", "master"), (name.name, "spec", "master")}
    info = client.pps.inspect_pipeline(pipeline=name)
    assert (info.spec_commit.repo.type, info.spec_commit.branch.name) == ("spec", "master")
    assert jobs(client, name)[0].job.id == info.spec_commit.id


def test_a_dry_run_changes_nothing(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    name = pipelines.name()
    assert deploy(client, document(name, repo), dry_run=True)["datumTries"]
    with refused(grpc.StatusCode.NOT_FOUND, "not found"):
        client.pps.inspect_pipeline(pipeline=name)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"pipeline": {"name": "x", "nmae": "x"}}, "nmae"),
        ({"transform": {"cmd": ["true"], "image_name": "x"}}, "image_name"),
        ({"input": {"pfs": {"repo": "x", "glob": "/", "brnach": "x"}}}, "brnach"),
        ({"input": {"cross": [{"pfs": {"repo": "x", "glob": "/", "flob": "/"}}]}}, "flob"),
    ],
    ids=["top", "pipeline", "transform", "input", "list"],
)
def test_an_unknown_field_is_refused(
    client: Client, pipelines: Pipelines, repo: pfs.Repo, change: dict[str, Any], field: str
) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, f'unknown field "{field}"'):
        deploy(client, document(pipelines.name(), repo) | change)


@pytest.mark.parametrize(
    "change",
    [
        {"transform": {"cmd": "true"}},
        {"transform": {"cmd": [5]}},
        {"datum_tries": "many"},
        {"parallelism_spec": {"constant": -1}},
        {"datum_timeout": 60},
        {"datum_timeout": "1 minute"},
        {"input": []},
        {"reprocess_spec": "sometimes"},
    ],
    ids=["list", "string", "integer", "negative", "seconds", "duration", "object", "choice"],
)
def test_a_value_of_the_wrong_type_is_refused(
    client: Client, pipelines: Pipelines, repo: pfs.Repo, change: dict[str, Any]
) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "could not make effective spec"):
        deploy(client, document(pipelines.name(), repo) | change)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"pfs": {"glob": "/"}}, "input must specify a name"),
        ({"pfs": {"repo": "REPO"}}, "input must specify a glob"),
        ({"pfs": {"repo": "REPO", "glob": "/", "name": "out"}}, "input cannot be named out"),
        ({"pfs": {"repo": "REPO", "glob": "/", "commit": "x"}}, "input cannot come from a commit"),
        ({}, "no input set"),
        ({"cross": [{"pfs": {"repo": "REPO", "glob": "/"}}] * 2}, "was used more than once"),
        ({"cross": [{"pfs": {"repo": "REPO", "glob": "/"}}], "pfs": {"repo": "REPO", "glob": "/"}}, "multiple input"),
    ],
    ids=["repo", "glob", "out", "commit", "none", "twice", "several"],
)
def test_a_wrong_input_is_refused(
    client: Client, pipelines: Pipelines, repo: pfs.Repo, source: dict[str, Any], words: str
) -> None:
    named = json.loads(json.dumps(source).replace("REPO", repo.name))
    with refused(grpc.StatusCode.UNKNOWN, words):
        deploy(client, document(pipelines.name(), repo) | {"input": named})


def test_an_input_repo_must_exist(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    spec = document(pipelines.name(), pfs.Repo(name="contract-no-such-repo"))
    with refused(grpc.StatusCode.NOT_FOUND, "repo default/contract-no-such-repo not found"):
        deploy(client, spec)


def test_a_missing_input_branch_is_made(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    pipelines.create(files_of(repo), "true")
    head = client.pfs.inspect_commit(commit=pfs.Commit.from_uri(f"{repo.as_uri()}@master"))
    assert head.origin.kind == pfs.OriginKind.AUTO
    assert head.finished


@pytest.mark.parametrize("name", ["-x", "x y", "", "x" * 52], ids=["dash", "space", "empty", "long"])
def test_a_bad_name_is_refused(client: Client, repo: pfs.Repo, name: str) -> None:
    with refused(grpc.StatusCode.UNKNOWN, "ame"):
        deploy(client, document(pps.Pipeline(name=name), repo))


def test_a_repo_of_the_same_name_is_in_the_way(client: Client, repo: pfs.Repo) -> None:
    with refused(grpc.StatusCode.UNKNOWN, "cannot be created because a repo with the same name already exists"):
        deploy(client, document(pps.Pipeline(name=repo.name), repo))


def test_creating_twice_needs_update(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    name = pipelines.create(files_of(repo), "true")
    with refused(grpc.StatusCode.ALREADY_EXISTS, f'pipeline "default/{name.name}" already exists'):
        deploy(client, document(name, repo))
    assert version(client, name) == 1


def test_an_update_is_a_new_version_and_keeps_the_salt(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    name = pipelines.name()
    spec = document(name, repo)
    deploy(client, spec)
    first = client.pps.inspect_pipeline(pipeline=name, details=True)
    deploy(client, spec | {"description": "second"}, update=True)
    second = client.pps.inspect_pipeline(pipeline=name, details=True)
    deploy(client, spec | {"description": "third"}, update=True, reprocess=True)
    third = client.pps.inspect_pipeline(pipeline=name, details=True)
    assert [info.version for info in (first, second, third)] == [1, 2, 3]
    assert first.details.salt == second.details.salt != third.details.salt
    assert third.details.created_at == first.details.created_at < third.details.updated_at
    older = pps.Pipeline(project=name.project, name=f"{name.name}^")
    assert client.pps.inspect_pipeline(pipeline=older, details=True).details.description == "second"
    listed = client.pps.list_pipeline(pipeline=name, history=-1)
    assert [info.details.description for info in listed] == ["third", "second", ""]
    assert [info.version for info in client.pps.list_pipeline(pipeline=name, history=1)] == [3, 2]
    assert [info.version for info in client.pps.list_pipeline(pipeline=name)] == [3]
    at = pfs.CommitSet(id=second.spec_commit.id)
    mine = [i for i in client.pps.list_pipeline(commit_set=at) if i.pipeline.name == name.name]
    assert [info.version for info in mine] == [2]


def test_an_update_kills_the_jobs_of_the_old_version(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    put(client, pfs.Branch(repo=repo, name="master"), {"/a": b"1"})
    name = pipelines.create(files_of(repo), "sleep 600")
    old = jobs(client, name)[0].job.id
    deploy(client, document(name, repo), update=True)
    assert ended(client, name, old).state == pps.JobState.JOB_KILLED
    new = jobs(client, name)[0]
    assert (new.pipeline_version, new.job.id != old) == (2, True)
    assert ended(client, name, new.job.id).state == pps.JobState.JOB_SUCCESS
    assert [job.job.id for job in jobs(client, name)] == [new.job.id]
    assert [job.job.id for job in jobs(client, name, history=-1)] == [new.job.id, old]


def test_a_stopped_pipeline_takes_no_notice_of_its_input(
    client: Client, pipelines: Pipelines, repo: pfs.Repo, master: pfs.Branch
) -> None:
    put(client, master, {"/a": b"1"})
    name = pipelines.create(files_of(repo), "sleep 600")
    running = jobs(client, name)[0].job.id
    client.pps.stop_pipeline(pipeline=name)
    info = client.pps.inspect_pipeline(pipeline=name)
    assert info.stopped
    stopped = ended(client, name, running)
    assert stopped.state == pps.JobState.JOB_KILLED
    assert "pipeline was stopped" in stopped.reason
    output = pfs.Branch(repo=output_of(name), name="master")
    assert client.pfs.inspect_branch(branch=output).direct_provenance == []
    put(client, master, {"/b": b"1"})
    assert len(jobs(client, name)) == 1
    deploy(client, document(name, repo), update=True)
    assert client.pps.inspect_pipeline(pipeline=name).stopped
    assert len(jobs(client, name, history=-1)) == 1
    client.pps.start_pipeline(pipeline=name)
    assert not client.pps.inspect_pipeline(pipeline=name).stopped
    assert ended(client, name, jobs(client, name)[0].job.id).state == pps.JobState.JOB_SUCCESS


def test_what_belongs_to_a_pipeline_is_the_pipelines(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    name = pipelines.create(files_of(repo), "sleep 600")
    output = output_of(name)
    with refused(grpc.StatusCode.UNKNOWN, "cannot delete a repo associated with a pipeline"):
        client.pfs.delete_repo(repo=output, force=True)
    ended(client, name, jobs(client, name)[0].job.id)
    with refused(grpc.StatusCode.UNKNOWN, "cannot start a commit on an output branch"):
        client.pfs.start_commit(branch=pfs.Branch(repo=output, name="master"))
    put(client, pfs.Branch(repo=repo, name="master"), {"/a": b"1"})
    with refused(grpc.StatusCode.UNKNOWN, "cannot finish a pipeline output or meta commit, use 'stop job' instead"):
        client.pfs.finish_commit(commit=pfs.Commit.from_uri(f"{output.as_uri()}@master"))


def test_deleting(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    name = pipelines.create(files_of(repo), "true")
    downstream = pipelines.create(files_of(output_of(name)), "true")
    with refused(grpc.StatusCode.UNKNOWN, "cannot be deleted because it's in the direct provenance of"):
        client.pps.delete_pipeline(pipeline=name)
    assert version(client, name) == 1
    client.pps.delete_pipeline(pipeline=downstream)
    client.pps.delete_pipeline(pipeline=name)
    with refused(grpc.StatusCode.NOT_FOUND, f'pipeline "default/{name.name}" not found'):
        client.pps.inspect_pipeline(pipeline=name)
    for kind in ("user", "spec", "meta"):
        assert not client.pfs.repo_exists(repo=pfs.Repo(name=name.name, type=kind, project=name.project))
    client.pps.delete_pipeline(pipeline=name)
    with refused(grpc.StatusCode.NOT_FOUND, "not found"):
        client.pps.delete_pipeline(pipeline=name, must_exist=True)


def test_a_kept_output_repo_is_one_like_any_other(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    put(client, pfs.Branch(repo=repo, name="master"), {"/a": b"1"})
    name = pipelines.create(files_of(repo), "cp /pfs/in/* /pfs/out/")
    ended(client, name, jobs(client, name)[0].job.id)
    client.pps.delete_pipeline(pipeline=name, keep_repo=True)
    output = output_of(name)
    try:
        assert not client.pfs.repo_exists(repo=pfs.Repo(name=name.name, type="spec", project=name.project))
        put(client, pfs.Branch(repo=output, name="master"), {"/b": b"2"})
        head = pfs.Commit.from_uri(f"{output.as_uri()}@master")
        paths = [info.file.path for info in client.pfs.list_file(file=pfs.File(commit=head, path="/"))]
        assert paths == ["/a", "/b"]
    finally:
        client.pfs.delete_repo(repo=output)


def test_a_pipeline_without_cron_has_no_ticks(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    name = pipelines.create(files_of(repo), "true")
    with refused(grpc.StatusCode.UNKNOWN, "pipeline doesn't have a cron input"):
        client.pps.run_cron(pipeline=name)


def test_rerun_is_a_new_version_of_the_same(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    put(client, pfs.Branch(repo=repo, name="master"), {"/a": b"1"})
    name = pipelines.create(files_of(repo), "true")
    assert ended(client, name, jobs(client, name)[0].job.id).data_processed == 1
    for reprocess, counts in ((False, (0, 1)), (True, (1, 0))):
        client.pps.rerun_pipeline(pipeline=name, reprocess=reprocess)
        job = ended(client, name, jobs(client, name)[0].job.id)
        assert (job.data_processed, job.data_skipped) == counts
    assert version(client, name) == 3
