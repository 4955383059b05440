"""Pipelines that really run: what user code sees, what is done again and what is not, inputs and logs."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path

from pachyderm_sdk.api import pfs, pps

from tests.localcluster.pachyderm.project import DEADLINE, Project, counts, wait_until


def test_what_user_code_sees(project: Project) -> None:
    commit = project.put({"/d/one": b"1", "/d/two": b"22", "/top": b"333"})
    script = [
        "set -e; cd /pfs; find . -path ./out -prune -o -type f -print | sort > out/$(basename $in).files",
        "env | grep -E '^(in|PACH_|PPS_|MINE|PFS_)' | sort > out/$(basename $in).env",
        'for v in in PACH_JOB_ID MINE; do grep -q "^$v=" .env; done',
        "! env | grep -E 'TOKEN|PACH_CONFIG|LOCALCLUSTER'",
        "python3 -c 'import pachyderm_sdk'",
    ]
    project.create("seen", ["sh"], transform={"stdin": script, "env": {"MINE": "of the spec"}})
    job = project.last("seen")
    assert (job.state, job.reason) == (pps.JobState.JOB_SUCCESS, "")
    output = {path: data.decode() for path, data in project.output("seen").items()}
    assert output["/d.files"].split() == ["./.env", "./in/d/one", "./in/d/two"]
    assert output["/top.files"].split() == ["./.env", "./in/top"]
    seen = dict(line.split("=", 1) for line in output["/d.env"].splitlines())
    datum = next(d for d in project.client.pps.list_datum(job=job.job) if d.data[0].file.path == "/d/")
    pipeline = project.client.pps.inspect_pipeline(pipeline=job.job.pipeline)
    assert seen == {
        "in": "/pfs/in/d",
        "in_COMMIT": commit.id,
        "PACH_DATUM_ID": datum.datum.id,
        "PACH_JOB_ID": job.job.id,
        "PACH_OUTPUT_COMMIT_ID": job.output_commit.id,
        "PPS_PIPELINE_NAME": project.named("seen"),
        "PPS_PROJECT_NAME": "default",
        "PPS_SPEC_COMMIT": pipeline.spec_commit.id,
        "MINE": "of the spec",
    }


def test_what_is_known_is_not_run_again(project: Project) -> None:
    script = ["cat /pfs/in/* > /pfs/out/$(basename $in); date +%N >> /pfs/out/$(basename $in)"]
    project.put({"/a": b"A\n", "/b": b"B\n"})
    project.create("copy", ["sh"], transform={"stdin": script})
    assert counts(project.last("copy")) == (2, 0, 0, 0)
    first = project.output("copy")
    project.put({"/a": b"changed\n", "/c": b"C\n"})
    assert counts(project.last("copy")) == (2, 1, 0, 0)
    second = project.output("copy")
    assert second["/b"] == first["/b"]
    assert second["/a"].startswith(b"changed\n")
    with project.client.pfs.commit(branch=pfs.Branch.from_uri(f"{project.named('in')}@master")) as commit:
        commit.delete_file(path="/b")
    assert counts(project.last("copy")) == (0, 2, 0, 0)
    third = project.output("copy")
    assert third == {path: data for path, data in second.items() if path != "/b"}
    project.create("copy", ["sh"], "update", transform={"stdin": [*script, "echo more"]})
    assert counts(project.last("copy")) == (0, 2, 0, 0)
    project.create("copy", ["sh"], "update", "reprocess", transform={"stdin": script})
    assert counts(project.last("copy")) == (2, 0, 0, 0)
    assert project.output("copy") != third
    project.create("copy", ["sh"], "update", transform={"stdin": script}, reprocess_spec="every_job")
    assert counts(project.last("copy")) == (2, 0, 0, 0)


def test_the_meta_repo_has_a_record_of_each_datum(project: Project) -> None:
    project.put({"/a": b"A", "/b": b"B"})
    project.create("recorded", ["true"])
    job = project.last("recorded")
    for datum in project.client.pps.list_datum(job=job.job):
        meta = pfs.Commit(repo=pfs.Repo(name=project.named("recorded"), type="meta"), id=job.job.id)
        file = pfs.File(commit=meta, path=f"/meta/{datum.datum.id}/meta")
        record = json.loads(project.client.pfs.pfs_file(file).read())
        assert (record["job"]["id"], record["state"]) == (job.job.id, "PROCESSED")
        assert record["inputs"][0]["fileInfo"]["file"]["path"] == datum.data[0].file.path


def test_datums_run_at_the_same_time(project: Project, tmp_path: Path) -> None:
    project.put({"/a": b"A", "/b": b"B"})
    meet = f"touch {tmp_path}/$(basename $in); until test -f {tmp_path}/a -a -f {tmp_path}/b; do sleep 0.05; done"
    project.create("parallel", ["sh", "-c", meet], parallelism_spec={"constant": 2}, datum_timeout="40s")
    assert project.last("parallel").state == pps.JobState.JOB_SUCCESS


def test_cross_and_union(project: Project) -> None:
    project.put({"/a": b"A", "/b": b"B"})
    project.put({"/1": b"1"}, "other")
    sides = [{"pfs": {"repo": project.named(repo), "name": repo, "glob": "/*"}} for repo in ("in", "other")]
    paste = 'cat "$in" "$other" > /pfs/out/$(basename $in)$(basename $other)'
    project.create("crossed", ["sh", "-c", paste], input={"cross": sides})
    assert counts(project.last("crossed")) == (2, 0, 0, 0)
    assert project.output("crossed") == {"/a1": b"A1", "/b1": b"B1"}
    project.create(
        "united", ["sh", "-c", "cp -r /pfs/in/* /pfs/other/* /pfs/out/ 2>/dev/null; true"], input={"union": sides}
    )
    assert counts(project.last("united")) == (3, 0, 0, 0)
    assert project.output("united") == {"/a": b"A", "/b": b"B", "/1": b"1"}
    empty = [{"pfs": {**sides[0]["pfs"], "empty_files": True}}, sides[1]]
    project.create("empty", ["sh", "-c", "wc -c < $in > /pfs/out/in; wc -c < $other > /pfs/out/$(basename $in)"], input={"cross": empty}, datum_tries=1)  # noqa: E501 # fmt: skip
    assert "duplicate path output by different datums (/in from" in project.last("empty").reason


def test_links(project: Project, tmp_path: Path) -> None:
    project.put({"/d/f": b"F", "/d/g": b"G"})
    script = "cd /pfs/out; ln -s /pfs/in/d/f absolute; ln -s ../in/d relative; ln -s absolute again; mkfifo pipe"
    project.create("linked", ["sh", "-c", script])
    assert project.last("linked").state == pps.JobState.JOB_SUCCESS
    expected = {"/absolute": b"F", "/again": b"F", "/relative/f": b"F", "/relative/g": b"G"}
    assert project.output("linked") == expected
    secret = tmp_path / "secret"
    secret.write_text("not for PFS")
    for name, line in {
        "outside": f"ln -s {secret} /pfs/out/leak",
        "upwards": "ln -s ../../../secret /pfs/out/leak",
        "dangling": "ln -s /pfs/in/none /pfs/out/leak",
        "looping": "ln -s leak /pfs/out/leak",
        "inside-itself": "mkdir /pfs/out/x; ln -s .. /pfs/out/x/leak",
        "badly-named": "touch '/pfs/out/le*ak'",
        "foreign": "touch /pfs/out/le$(printf '\\377')ak",
    }.items():
        project.create(name, ["sh", "-c", line], datum_tries=1)
        job = project.last(name)
        assert job.state == pps.JobState.JOB_FAILURE, name
        assert "le" in job.reason.split("failed")[1].splitlines()[0], job.reason
        assert project.output(name) == {}


def test_logs(project: Project) -> None:
    project.put({"/a": b"A", "/b": b"B"})
    program = "for i in 1 2 3; do echo $(basename $in) $i; done; printf unfinished; printf '\\377' >&2"
    project.create("talks", ["sh", "-c", program])
    job = project.last("talks")
    pipeline = job.job.pipeline
    own = {d.data[0].file.path: d.datum for d in project.client.pps.list_datum(job=job.job)}
    expected = {name: [f"{name} {i}" for i in (1, 2, 3)] + ["unfinished\ufffd"] for name in "ab"}
    assert sorted(project.lines(job.job)) == sorted(expected["a"] + expected["b"])
    assert project.lines(job.job, datum=own["/a"]) == expected["a"]
    assert project.lines(job.job, data_filters=["/b"]) == expected["b"]
    assert project.lines(job.job, data_filters=["/b", "/a"]) == []
    lines = list(project.client.pps.get_logs(job=job.job))
    assert [line.message for line in project.client.pps.get_logs(job=job.job, tail=2)] == [
        line.message for line in lines[-2:]
    ]
    assert [line.ts for line in lines] == sorted(line.ts for line in lines)
    assert any(line.message.startswith("finished running user code after") and not line.user for line in lines)
    assert list(project.client.pps.get_logs(pipeline=pipeline)) == lines
    assert list(project.client.pps.get_logs(pipeline=pipeline, since=timedelta(microseconds=1))) == []
    master = [line.message for line in project.client.pps.get_logs(pipeline=pipeline, master=True)]
    assert sum("has no meaning here" in line for line in master) == 1
    assert sum("/pfs" in line for line in master) == 1


def test_following_a_job_ends_with_it(project: Project, tmp_path: Path) -> None:
    project.put({"/a": b"A"})
    gate = tmp_path / "gate"
    wait = f"echo before; until test -f {gate}; do sleep 0.05; done; echo after"
    project.create("followed", ["sh", "-c", wait])
    job = project.jobs("followed")[0].job
    seen: list[str] = []
    before = threading.Event()

    def follow() -> None:
        for line in project.client.pps.get_logs(job=job, follow=True):
            if line.user:
                seen.append(line.message)
                before.set()

    follower = threading.Thread(target=follow)
    follower.start()
    assert before.wait(DEADLINE)
    gate.touch()
    follower.join(DEADLINE)
    assert not follower.is_alive()
    assert seen == ["before", "after"]


def test_an_empty_input_is_a_job_without_datums(project: Project) -> None:
    project.client.pfs.create_repo(repo=pfs.Repo.from_uri(project.named("in")))
    project.create("nothing", ["false"], input={"pfs": {"repo": project.named("in"), "glob": "/"}})
    job = project.last("nothing")
    assert (job.state, job.data_total) == (pps.JobState.JOB_SUCCESS, 0)


def test_an_input_that_is_deleted_meanwhile_ends_the_job(project: Project, tmp_path: Path) -> None:
    commit = project.put({"/a": b"A", "/b": b"B"})
    began, gate = tmp_path / "began", tmp_path / "gate"
    project.create("orphan", ["sh", "-c", f"touch {began}; until test -f {gate}; do sleep 0.05; done"])
    wait_until(began.exists, "the user code to begin")
    project.client.pfs.delete_repo(repo=commit.repo, force=True)
    gate.touch()
    assert project.last("orphan").state in (pps.JobState.JOB_FAILURE, pps.JobState.JOB_KILLED)


def test_an_error_in_the_specification_shows_in_the_job(project: Project) -> None:
    project.put({"/a": b"A"})
    project.create("missing", ["no-such-program"], datum_tries=1)
    assert 'exec: "no-such-program": executable file not found in $PATH' in project.last("missing").reason
    project.create("nowhere", ["true"], datum_tries=1, transform={"working_dir": "/no/such/place"})
    assert "/no/such/place" in project.last("nowhere").reason


def test_a_large_file_goes_through(project: Project) -> None:
    data = bytes(range(256)) * 4096 * 30
    project.put({"/large": data})
    project.create("through", ["sh", "-c", "cp /pfs/in/large /pfs/out/; ln /pfs/in/large /pfs/out/linked"])
    assert project.last("through").state == pps.JobState.JOB_SUCCESS
    assert project.output("through") == {"/large": data, "/linked": data}


def test_following_the_logs_ends_with_the_pipeline(project: Project) -> None:
    project.put({"/a": b""})
    project.create("p", ["echo", "said"])
    project.last("p")
    pipeline = pps.Pipeline(name=project.named("p"), project=pfs.Project(name="default"))
    timer = threading.Timer(1, project.client.pps.delete_pipeline, kwargs={"pipeline": pipeline})
    timer.start()
    assert "said" in [line.message for line in project.client.pps.get_logs(pipeline=pipeline, follow=True)]
    timer.join()
