"""Jobs that go wrong or are interfered with: reasons, retries, timeouts, stops and restarted datums."""

from __future__ import annotations

from pathlib import Path

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pps

from tests.contract.pachyderm.helpers import refused
from tests.localcluster.pachyderm.project import Project, counts, wait_until


def test_a_failure_says_what_the_user_needs(project: Project) -> None:
    program = "print('first'); print('second'); raise SystemExit('the reason')"
    project.put({"/a": b"A"})
    project.create("fails", ["python3", "-c", program], datum_tries=2)
    job = project.last("fails")
    datum = next(project.client.pps.list_datum(job=job.job)).datum.id
    name = project.named("fails")
    assert job.state == pps.JobState.JOB_FAILURE
    first, *rest = job.reason.splitlines()
    assert first.startswith(f"datum {datum} failed")
    assert first.endswith("exit status 1")
    assert rest == [
        "  first",
        "  second",
        "  the reason",
        f"see pachctl logs --job={name}@{job.job.id} --datum={datum}",
    ]
    assert project.lines(job.job) == ["first", "second", "the reason"] * 2
    assert counts(job) == (0, 0, 1, 0)
    commit = project.client.pfs.inspect_commit(commit=job.output_commit)
    assert commit.error == job.reason
    assert project.output("fails") == {}


def test_nothing_downstream_works_on_what_a_failed_job_wrote(project: Project) -> None:
    project.put({"/a": b"good"})
    project.create("checked", ["sh", "-c", "grep -q good /pfs/in/* && cp /pfs/in/* /pfs/out/"])
    assert project.last("checked").state == pps.JobState.JOB_SUCCESS
    project.create("downstream", ["true"], input={"pfs": {"repo": project.named("checked"), "glob": "/"}})
    project.last("downstream")
    project.put({"/a": b"bad", "/b": b"good"})
    assert project.last("checked").state == pps.JobState.JOB_FAILURE
    later = project.last("downstream")
    assert later.state == pps.JobState.JOB_UNRUNNABLE
    assert "unrunnable because the following upstream pipelines failed" in later.reason
    assert project.output("checked") == {"/b": b"good"}
    project.put({"/a": b"good again"})
    recovered = project.last("checked")
    assert (recovered.state, *counts(recovered)) == (pps.JobState.JOB_SUCCESS, 2, 0, 0, 0)
    assert project.output("checked") == {"/a": b"good again", "/b": b"good"}
    assert project.last("downstream").state == pps.JobState.JOB_SUCCESS


def test_retries_and_recovery(project: Project, tmp_path: Path) -> None:
    project.put({"/a": b"A"})
    count = f"echo x >> {tmp_path}/$PPS_PIPELINE_NAME; tries=$(wc -l < {tmp_path}/$PPS_PIPELINE_NAME)"
    project.create("third", ["sh", "-c", f"{count}; test $tries -ge 3 && echo $tries > /pfs/out/tries"])
    assert project.last("third").state == pps.JobState.JOB_SUCCESS
    assert project.output("third") == {"/tries": b"3\n"}
    project.create("once", ["sh", "-c", f"{count}; exit 9"], datum_tries=1)
    assert "exit status 9" in project.last("once").reason
    assert (tmp_path / project.named("once")).read_text() == "x\n"
    project.create("accepted", ["sh", "-c", "echo kept > /pfs/out/kept; exit 9"], transform={"accept_return_code": [9]})
    assert project.last("accepted").state == pps.JobState.JOB_SUCCESS
    assert project.output("accepted") == {"/kept": b"kept\n"}
    save = {"err_cmd": ["sh"], "err_stdin": ["echo saved; test -f /pfs/in/a"]}
    project.create("saved", ["sh", "-c", "echo lost > /pfs/out/lost; exit 1"], datum_tries=1, transform=save)
    saved = project.last("saved")
    assert (saved.state, *counts(saved)) == (pps.JobState.JOB_SUCCESS, 0, 0, 0, 1)
    assert project.output("saved") == {}
    assert project.lines(saved.job) == ["saved"]


def test_timeouts(project: Project) -> None:
    project.put({"/a": b"A"})
    project.create("slow", ["sh", "-c", "echo begun; sleep 600"], datum_timeout="0.5s", datum_tries=1)
    job = project.last("slow")
    assert job.state == pps.JobState.JOB_FAILURE
    assert "context deadline exceeded" in job.reason
    assert "  begun" in job.reason.splitlines()
    project.create("late", ["sleep", "600"], job_timeout="0.5s")
    job = project.last("late")
    assert job.state == pps.JobState.JOB_KILLED
    assert "job timed out" in job.reason


def test_a_job_that_is_stopped_ends_its_processes(project: Project, tmp_path: Path) -> None:
    project.put({"/a": b"A"})
    mark = tmp_path / "began"
    project.create("endless", ["sh", "-c", f"touch {mark}; sleep 600; touch {mark}.after"])
    wait_until(mark.exists, "the user code to begin")
    job = project.jobs("endless")[0].job
    project.client.pps.stop_job(job=job, reason="enough")
    stopped = project.last("endless")
    assert (stopped.state, stopped.reason) == (pps.JobState.JOB_KILLED, "enough")
    project.create("endless", ["true"], "update")
    assert project.last("endless").state == pps.JobState.JOB_SUCCESS
    assert not Path(f"{mark}.after").exists()


def _restarted(client: Client, job: pps.Job) -> bool:
    """Whether the datum /a could be restarted: its command may have begun before pachd could end it."""
    try:
        client.pps.restart_datum(job=job, data_filters=["/a"])
    except grpc.RpcError:
        return False
    return True


def test_a_stuck_datum_is_restarted(project: Project, tmp_path: Path) -> None:
    project.put({"/a": b"A", "/b": b"B"})
    script = f"echo $in >> {tmp_path}/began; test $in = /pfs/in/b || mkdir {tmp_path}/tried || exit 0; sleep 600"
    project.create("stuck", ["sh", "-c", script], datum_tries=2, transform={"err_cmd": ["true"]})
    wait_until((tmp_path / "tried").exists, "the user code to begin")
    job = project.jobs("stuck")[0].job
    with refused(grpc.StatusCode.UNKNOWN, f"datum matching filter [/b] could not be found for job ID {job.id}"):
        project.client.pps.restart_datum(job=job, data_filters=["/b"])
    wait_until(lambda: _restarted(project.client, job), "the process to be known")
    wait_until(lambda: (tmp_path / "began").read_text().split() == ["/pfs/in/a"] * 2 + ["/pfs/in/b"], "the other datum")
    states = {info.data[0].file.path: info.state for info in project.client.pps.list_datum(job=job)}
    assert states == {"/a": pps.DatumState.SUCCESS}
    project.client.pps.stop_job(job=job)
    with refused(grpc.StatusCode.UNKNOWN, "could not be found for job ID"):
        project.client.pps.restart_datum(job=job)
