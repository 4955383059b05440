"""Jobs, job sets and datums: what a new commit causes, how it ends, and how to ask for it."""

from __future__ import annotations

import threading

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps, transaction

from tests.contract.pachyderm.helpers import Pipelines, ended, file_at, files_of, names, output_of, put, read, refused

COPY = "cp -r /pfs/in/* /pfs/out/"
FOREVER = "sleep 600"


def newest(client: Client, pipeline: pps.Pipeline) -> pps.Job:
    """The pipeline's newest job."""
    found: pps.JobInfo = next(iter(client.pps.list_job(pipeline=pipeline, number=1)))
    return found.job


def counts(job: pps.JobInfo) -> tuple[int, int, int, int]:
    """How many datums were processed, skipped and failed, and how many there are."""
    return job.data_processed, job.data_skipped, job.data_failed, job.data_total


def listing(client: Client, pipeline: pps.Pipeline, commit_id: str) -> list[str]:
    """The paths at the root of an output commit."""
    commit = pfs.Commit(repo=output_of(pipeline), id=commit_id)
    return names(client.pfs.list_file(file=file_at(commit, "/")))


def test_a_pipeline_starts_with_a_job(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    name = pipelines.create(files_of(repo), "exit 1")
    job = ended(client, name, newest(client, name).id)
    assert job.state == pps.JobState.JOB_SUCCESS
    assert counts(job) == (0, 0, 0, 0)
    assert job.created <= job.started <= job.finished
    assert job.pipeline_version == 1


def test_a_commit_causes_a_job_with_its_id(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    name = pipelines.create(files_of(master.repo), COPY)
    commit = put(client, master, {"/a": b"12345", "/d/b": b"1"})
    job = ended(client, name, commit.id)
    assert job.state == pps.JobState.JOB_SUCCESS
    assert counts(job) == (2, 0, 0, 2)
    assert (job.stats.download_bytes, job.stats.upload_bytes) == (6, 6)
    assert job.stats.process_time.total_seconds() > 0
    assert (job.output_commit.id, job.output_commit.repo.name) == (commit.id, name.name)
    assert job.details.input.pfs.commit == commit.id
    assert job.details.transform.stdin == [COPY]
    output = client.pfs.inspect_commit(commit=job.output_commit)
    assert output.origin.kind == pfs.OriginKind.AUTO
    assert (output.error, output.details.size_bytes) == ("", 6)
    assert read(client, f"{output_of(name).as_uri()}@{commit.id}:/a") == b"12345"
    upstream = {(source.repo.name, source.repo.type) for source in output.direct_provenance}
    assert upstream == {(master.repo.name, "user"), (name.name, "spec")}


def test_a_chain_of_pipelines_is_one_job_set(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    first = pipelines.create(files_of(master.repo), COPY)
    second = pipelines.create(files_of(output_of(first)), COPY)
    commit = put(client, master, {"/a": b"1"})
    job_set = pps.JobSet(id=commit.id)
    infos = list(client.pps.inspect_job_set(job_set=job_set, wait=True, details=True))
    assert [info.job.pipeline.name for info in infos] == [first.name, second.name]
    assert {info.state for info in infos} == {pps.JobState.JOB_SUCCESS}
    assert infos[0].finished <= infos[1].finished
    listed = {found.job_set.id: found for found in client.pps.list_job_set()}
    assert len(listed[commit.id].jobs) == 2
    assert [info.job_set.id for info in client.pps.list_job_set(number=1)] == [commit.id]
    commits = client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=commit.id))
    assert {(info.commit.repo.name, info.commit.repo.type) for info in commits if info.commit.id == commit.id} == {
        (master.repo.name, "user"),
        *((name, kind) for name in (first.name, second.name) for kind in ("user", "meta")),
    }


def test_what_is_known_is_skipped_and_what_is_gone_goes(
    client: Client, pipelines: Pipelines, master: pfs.Branch
) -> None:
    name = pipelines.create(files_of(master.repo), COPY)
    first = put(client, master, {"/a": b"1", "/b": b"1"})
    second = put(client, master, {"/b": b"2", "/c": b"1"})
    with client.pfs.commit(branch=master) as third:
        third.delete_file(path="/a")
    jobs = [ended(client, name, commit.id) for commit in (first, second, third)]
    assert [counts(job) for job in jobs] == [(2, 0, 0, 2), (2, 1, 0, 3), (0, 2, 0, 2)]
    assert listing(client, name, second.id) == ["/a", "/b", "/c"]
    assert listing(client, name, third.id) == ["/b", "/c"]
    assert read(client, f"{output_of(name).as_uri()}@{third.id}:/b") == b"2"


def test_a_failed_job_says_why_and_has_no_good_output(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    name = pipelines.create(files_of(master.repo), COPY, "echo the reason", "exit 7", datum_tries=1)
    below = pipelines.create(files_of(output_of(name)), COPY)
    commit = put(client, master, {"/a": b"1"})
    job = ended(client, name, commit.id)
    assert job.state == pps.JobState.JOB_FAILURE
    assert counts(job) == (0, 0, 1, 1)
    assert "failed" in job.reason
    output = client.pfs.inspect_commit(commit=job.output_commit, wait=pfs.CommitState.FINISHED)
    assert output.error
    assert listing(client, name, commit.id) == []
    after = ended(client, below, commit.id)
    assert after.state == pps.JobState.JOB_UNRUNNABLE
    assert after.reason == "unrunnable because the following upstream pipelines failed: in"
    assert client.pfs.inspect_commit(commit=after.output_commit, wait=pfs.CommitState.FINISHED).error
    assert client.pps.inspect_pipeline(pipeline=name).last_job_state == pps.JobState.JOB_FAILURE


ALL_BUT_BAD = ("grep -q bad $in && exit 1", "cp $in /pfs/out/")


def output(client: Client, job: pps.JobInfo) -> tuple[str, dict[str, bytes]]:
    """The error of a job's output commit, and the files that are read from it."""
    commit = pfs.Commit(repo=output_of(job.job.pipeline), id=job.job.id)
    error = client.pfs.inspect_commit(commit=commit, wait=pfs.CommitState.FINISHED).error
    listed = client.pfs.list_file(file=file_at(commit, "/"))
    return error, {info.file.path: client.pfs.pfs_file(info.file).read() for info in listed}


def test_a_failed_output_has_what_the_good_datums_wrote(
    client: Client, pipelines: Pipelines, master: pfs.Branch
) -> None:
    name = pipelines.create(files_of(master.repo), *ALL_BUT_BAD, datum_tries=1)
    job = ended(client, name, put(client, master, {"/a": b"bad", "/b": b"good"}).id)
    assert (job.state, counts(job)) == (pps.JobState.JOB_FAILURE, (1, 0, 1, 2))
    assert output(client, job) == (job.reason, {"/b": b"good"})
    job = ended(client, name, put(client, master, {"/a": b"fine"}).id)
    assert (job.state, counts(job)) == (pps.JobState.JOB_SUCCESS, (2, 0, 0, 2))
    assert output(client, job) == ("", {"/a": b"fine", "/b": b"good"})


def test_a_new_datum_that_fails_leaves_the_known_ones_as_they_were(
    client: Client, pipelines: Pipelines, master: pfs.Branch
) -> None:
    name = pipelines.create(files_of(master.repo), *ALL_BUT_BAD, datum_tries=1)
    ended(client, name, put(client, master, {"/a": b"1", "/same": b"1"}).id)
    job = ended(client, name, put(client, master, {"/a": b"2", "/b": b"new", "/c": b"bad"}).id)
    assert (job.state, counts(job)) == (pps.JobState.JOB_FAILURE, (1, 0, 1, 4))
    assert output(client, job) == (job.reason, {"/a": b"1", "/b": b"new", "/same": b"1"})
    states = {info.data[0].file.path: info.state for info in client.pps.list_datum(job=job.job)}
    known, went, failed = pps.DatumState.SKIPPED, pps.DatumState.SUCCESS, pps.DatumState.FAILED
    assert states == {"/a": known, "/b": went, "/c": failed, "/same": known}


def test_a_known_datum_that_fails_has_no_output(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    name = pipelines.create(files_of(master.repo), *ALL_BUT_BAD, datum_tries=1)
    ended(client, name, put(client, master, {"/a": b"1", "/same": b"1"}).id)
    job = ended(client, name, put(client, master, {"/a": b"bad", "/b": b"new"}).id)
    assert (job.state, counts(job)) == (pps.JobState.JOB_FAILURE, (1, 1, 1, 3))
    assert output(client, job) == (job.reason, {"/b": b"new", "/same": b"1"})
    job = ended(client, name, put(client, master, {"/a": b"2"}).id)
    assert (job.state, counts(job)) == (pps.JobState.JOB_SUCCESS, (2, 1, 0, 3))
    assert output(client, job) == ("", {"/a": b"2", "/b": b"new", "/same": b"1"})


def test_a_job_that_waits_is_starting_and_those_behind_it_are_created(
    client: Client, pipelines: Pipelines, master: pfs.Branch
) -> None:
    upper = pipelines.create(files_of(master.repo), FOREVER)
    lower = pipelines.create(files_of(output_of(upper)), COPY)
    ended(client, lower, newest(client, lower).id)
    ids = [put(client, master, {"/a": bytes([n])}).id for n in range(2)]

    def states(pipeline: pps.Pipeline) -> list[pps.JobState]:
        return [client.pps.inspect_job(job=pps.Job(pipeline=pipeline, id=job_id)).state for job_id in ids]

    assert states(lower) == [pps.JobState.JOB_STARTING, pps.JobState.JOB_CREATED]
    assert states(upper)[1] == pps.JobState.JOB_CREATED
    client.pps.stop_job(job=pps.Job(pipeline=upper, id=ids[0]))
    ended(client, lower, ids[0])
    assert states(lower) == [pps.JobState.JOB_UNRUNNABLE, pps.JobState.JOB_STARTING]


def test_a_bad_input_commit_is_not_worked_on(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    name = pipelines.create(files_of(master.repo), COPY)
    commit = client.pfs.start_commit(branch=master)
    client.pfs.finish_commit(commit=commit, error="torn")
    assert ended(client, name, commit.id).state == pps.JobState.JOB_UNRUNNABLE


def test_stopping_a_job(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    name = pipelines.create(files_of(master.repo), FOREVER)
    commit = put(client, master, {"/a": b"1"})
    job = pps.Job(pipeline=name, id=commit.id)
    client.pps.stop_job(job=job)
    info = ended(client, name, commit.id)
    assert (info.state, info.reason) == (pps.JobState.JOB_KILLED, "job stopped")
    output = client.pfs.inspect_commit(commit=info.output_commit, wait=pfs.CommitState.FINISHED)
    assert "job stopped" in output.error
    client.pps.stop_job(job=job)
    assert ended(client, name, commit.id).finished == info.finished


def test_stopping_a_job_set(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    both = [pipelines.create(files_of(master.repo), FOREVER) for _ in range(2)]
    commit = put(client, master, {"/a": b"1"})
    stops = [pps.StopJobRequest(job=pps.Job(pipeline=name, id=commit.id)) for name in both]
    client.transaction.batch_transaction(requests=[transaction.TransactionRequest(stop_job=stop) for stop in stops])
    for name in both:
        info = ended(client, name, commit.id)
        assert (info.state, info.reason) == (pps.JobState.JOB_KILLED, "job stopped")


def test_deleting_a_job(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    name = pipelines.create(files_of(master.repo), FOREVER)
    commit = put(client, master, {"/a": b"1"})
    job = pps.Job(pipeline=name, id=commit.id)
    client.pps.delete_job(job=job)
    with refused(grpc.StatusCode.NOT_FOUND, f"{name.name}@{commit.id} not found"):
        client.pps.inspect_job(job=job)
    with refused(grpc.StatusCode.NOT_FOUND, "not found"):
        client.pps.delete_job(job=job)
    assert commit.id not in [info.job.id for info in client.pps.list_job(pipeline=name)]


def test_dropping_a_commit_set_stops_its_jobs(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    put(client, master, {"/a": b"1"})
    name = pipelines.create(files_of(master.repo), FOREVER)
    commit = put(client, master, {"/a": b"2"})
    client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=commit.id))
    assert ended(client, name, commit.id).state == pps.JobState.JOB_KILLED
    assert not client.pfs.commit_exists(commit=pfs.Commit(repo=output_of(name), id=commit.id))


def test_the_commit_that_updated_a_pipeline_stays(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    name = pipelines.create(files_of(repo), COPY)
    spec = client.pps.inspect_pipeline(pipeline=name).spec_commit
    ended(client, name, spec.id)
    with refused(grpc.StatusCode.UNKNOWN, "because it updated a pipeline"):
        client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=spec.id))


def test_listing_jobs(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    name = pipelines.create(files_of(master.repo), COPY)
    made = [newest(client, name).id, *(put(client, master, {"/n": bytes([n])}).id for n in range(3))]
    for job_id in made:
        ended(client, name, job_id)
    listed = list(client.pps.list_job(pipeline=name))
    assert [info.job.id for info in listed] == made[::-1]
    assert [info.job.id for info in client.pps.list_job(pipeline=name, reverse=True)] == made
    assert [info.job.id for info in client.pps.list_job(pipeline=name, number=2)] == made[:1:-1]
    beyond = client.pps.list_job(pipeline=name, pagination_marker=listed[1].created, number=5)
    assert [info.job.id for info in beyond] == made[1::-1]
    after = client.pps.list_job(pipeline=name, pagination_marker=listed[1].created, reverse=True)
    assert [info.job.id for info in after] == made[3:]
    head = pfs.Commit(repo=master.repo, id=made[2])
    assert [info.job.id for info in client.pps.list_job(pipeline=name, input_commit=[head])] == [made[2]]
    projects = [pfs.Project(name="contract-no-such-project")]
    assert list(client.pps.list_job(projects=projects)) == []
    good, bad = '.state == "JOB_SUCCESS"', '.state == "JOB_FAILURE" or .state == "JOB_KILLED"'
    assert [len(list(client.pps.list_job(pipeline=name, jq_filter=text))) for text in (good, bad)] == [4, 0]
    with refused(grpc.StatusCode.NOT_FOUND, 'pipeline "default/contract-no" not found'):
        list(client.pps.list_job(pipeline=pps.Pipeline(name="contract-no")))


def test_details_only_where_asked_for(client: Client, pipelines: Pipelines, repo: pfs.Repo) -> None:
    name = pipelines.create(files_of(repo), COPY)
    job = newest(client, name)
    assert not client.pps.inspect_job(job=job).details
    assert client.pps.inspect_job(job=job, details=True).details.transform.cmd == ["sh"]
    assert not client.pps.inspect_pipeline(pipeline=name).details


def test_subscribing(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    name = pipelines.create(files_of(master.repo), FOREVER)
    ended(client, name, newest(client, name).id)
    seen: list[str] = []
    stream = client.pps.subscribe_job(pipeline=name)
    made = [put(client, master, {"/a": bytes([n])}).id for n in range(2)]

    def listen() -> None:
        for info in stream:
            seen.append(info.job.id)
            if seen == made:
                return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    listener.join(60)
    assert seen == made


def test_the_datums_of_a_job(client: Client, pipelines: Pipelines, master: pfs.Branch) -> None:
    name = pipelines.create(files_of(master.repo), "test ! -e /pfs/in/bad", datum_tries=1)
    put(client, master, {"/known": b"1"})
    commit = put(client, master, {"/bad": b"1", "/good": b"123", "/dir/x": b"1"})
    job = pps.Job(pipeline=name, id=commit.id)
    assert ended(client, name, commit.id).state == pps.JobState.JOB_FAILURE
    listed = list(client.pps.list_datum(job=job))
    assert [info.datum.id for info in listed] == sorted(info.datum.id for info in listed)
    by_path = {info.data[0].file.path: info for info in listed}
    assert {path: info.state for path, info in by_path.items()} == {
        "/bad": pps.DatumState.FAILED,
        "/good": pps.DatumState.SUCCESS,
        "/dir/": pps.DatumState.SUCCESS,
        "/known": pps.DatumState.SKIPPED,
    }
    good = by_path["/good"]
    one = client.pps.inspect_datum(datum=good.datum)
    assert (one.datum.id, one.state) == (good.datum.id, pps.DatumState.SUCCESS)
    assert (one.datum.job.id, one.datum.job.pipeline.name) == (commit.id, name.name)
    assert one.data[0].size_bytes == one.stats.download_bytes == 3
    assert one.data[0].hash == client.pfs.inspect_file(file=file_at(commit, "/good")).hash
    assert one.pfs_state.commit.repo.type == "meta"
    only = pps.ListDatumRequestFilter(state=[pps.DatumState.FAILED])
    assert [info.datum.id for info in client.pps.list_datum(job=job, filter=only)] == [by_path["/bad"].datum.id]
    ids = [info.datum.id for info in listed]
    page = client.pps.list_datum(job=job, pagination_marker=ids[0], number=2)
    assert [info.datum.id for info in page] == ids[1:3]
    back = client.pps.list_datum(job=job, pagination_marker=ids[3], number=2, reverse=True)
    assert [info.datum.id for info in back] == ids[2:0:-1]
    with refused(grpc.StatusCode.UNKNOWN, "not found in job"):
        client.pps.inspect_datum(datum=pps.Datum(job=job, id="0" * 64))


@pytest.mark.parametrize(("shape", "number"), [("pfs", 2), ("cross", 4), ("union", 3)])
def test_the_datums_that_an_input_would_have(client: Client, master: pfs.Branch, shape: str, number: int) -> None:
    put(client, master, {"/a": b"1", "/b": b"1"})
    two, one = files_of(master.repo), files_of(master.repo, "/a", name="other")
    other = {"cross": files_of(master.repo, name="other"), "union": one}
    source = two if shape == "pfs" else pps.Input(**{shape: [two, other[shape]]})
    listed = list(client.pps.list_datum(input=source))
    assert len(listed) == len({info.datum.id for info in listed}) == number
    assert {info.state for info in listed} == {pps.DatumState.UNKNOWN}
