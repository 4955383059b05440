"""`python -m pipelines` against a running pachd: what it creates, what it leaves alone, and what a bad file does."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from data import sources, validated
from data.catalog import SPLITS, TEST, TRAIN, Split, first_images
from data.errors import SplitRefused
from data.ingest import ingest
from pipelines import jobs, specs
from pipelines.deploy import UNCHANGED, UPDATED, deploy
from pipelines.errors import DeployError
from tests.contract.pachyderm.pachd import LocalPachd

IMAGES = 500


@pytest.fixture
def pachd(tmp_path: Path) -> Iterator[LocalPachd]:
    """A fresh one."""
    server = LocalPachd(tmp_path / "home")
    server.start()
    yield server
    server.stop()


def put(client: Client, split: Split, contents: dict[str, bytes]) -> str:
    return ingest(client, split, contents, lambda _: None).commit


def start(pachd: LocalPachd, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PACH_CONFIG": str(pachd.config)}
    command = [sys.executable, "-m", "pipelines", "--timeout", "200", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)


def versions(client: Client) -> dict[str, int]:
    return {info.pipeline.name: info.version for info in client.pps.list_pipeline()}


@pytest.mark.slow
def test_a_bad_file_never_becomes_training_data(pachd: LocalPachd) -> None:
    client = pachd.client()
    _, files = sources.find(None, sources.cache_directory(), print)
    good = {split: first_images(split, files, IMAGES) for split in SPLITS}
    for split in SPLITS:
        put(client, split, good[split])

    first = start(pachd)
    assert first.returncode == 0, first.stdout + first.stderr
    for line in ("pipeline fmnist-train: created", f"  {IMAGES} images  passed  ", "fmnist-feedback-train@master = "):
        assert line in first.stdout
    accepted = validated.read(client, "fmnist-train@master")
    assert len(accepted.labels) == IMAGES

    again = start(pachd)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout == "".join(line for line in first.stdout.splitlines(True) if "created" not in line)
    assert set(versions(client).values()) == {1}

    torn = {**good[TRAIN], TRAIN.images.name: good[TRAIN][TRAIN.images.name][:-1000]}
    raw = put(client, TRAIN, torn)
    failed = start(pachd)
    assert failed.returncode == 1
    job = client.pps.inspect_job(job=pps.Job(pipeline=pps.Pipeline(name="fmnist-train"), id=raw), wait=True)
    assert job.state == pps.JobState.JOB_FAILURE
    assert client.pfs.inspect_commit(commit=job.output_commit).error
    assert f"fmnist-train@master = {raw}  FAILURE: " in failed.stdout
    assert f"{TRAIN.images.name}: not a whole gzip file" in failed.stdout
    assert f"pachctl logs --job fmnist-train@{raw}" in failed.stdout
    assert f"fmnist-leakage@master = {raw}  UNRUNNABLE: " in failed.stdout
    with pytest.raises(SplitRefused, match=raw):
        validated.read(client, "fmnist-train@master")
    assert validated.read(client, f"fmnist-train@{accepted.commit}").commit == accepted.commit

    mended = put(client, TRAIN, good[TRAIN])
    whole = start(pachd)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert validated.read(client, "fmnist-train@master").commit == mended


@pytest.mark.slow
def test_changed_code_is_a_new_version_that_runs_again_and_others_stay(pachd: LocalPachd) -> None:
    client = pachd.client()
    _, files = sources.find(None, sources.cache_directory(), print)
    put(client, TEST, first_images(TEST, files, IMAGES))
    theirs = pps.Pipeline(name="theirs")
    transform = pps.Transform(cmd=["sh"], stdin=["true"])
    source = pps.Input(pfs=pps.PfsInput(repo=TEST.repo, glob="/"))
    client.pps.create_pipeline(pipeline=theirs, transform=transform, input=source)

    (ours,) = (spec for spec in specs.load(None) if spec.name == "fmnist-test")
    deploy(client, [ours])
    assert deploy(client, [ours]) == {"fmnist-test": UNCHANGED}
    document = copy.deepcopy(ours.document)
    document["transform"]["env"][specs.VERSION] = "changed"
    assert deploy(client, [replace(ours, version="changed", document=document)]) == {"fmnist-test": UPDATED}
    assert versions(client) == {"theirs": 1, "fmnist-test": 2}
    head = client.pfs.inspect_branch(branch=pfs.Branch.from_uri("fmnist-test@master")).head.id
    job = client.pps.inspect_job(job=pps.Job(pipeline=pps.Pipeline(name="fmnist-test"), id=head), wait=True)
    assert (job.state, job.data_processed, job.data_skipped) == (pps.JobState.JOB_SUCCESS, 1, 0)


@pytest.mark.parametrize(
    ("reports", "words"),
    [
        ({"report.json": "drift"}, "drift"),
        ({"monday/report.json": "no drift", "tuesday/report.json": "drift"}, "drift: tuesday; no drift: monday"),
        ({"other": ""}, ""),
    ],
)
def test_what_the_reports_of_a_commit_say(pachd: LocalPachd, reports: dict[str, str], words: str) -> None:
    client = pachd.client()
    repo = pfs.Repo.from_uri("in")
    client.pfs.create_repo(repo=repo)
    with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        commit.put_file_from_bytes("/file", b"")
    client.pps.create_pipeline(
        pipeline=pps.Pipeline(name="reporting"),
        transform=pps.Transform(
            cmd=["sh"],
            stdin=[
                f'mkdir -p $(dirname /pfs/out/{path}); echo \'{{"verdict": "{verdict}"}}\' > /pfs/out/{path}'
                for path, verdict in reports.items()
            ],
        ),
        input=pps.Input(pfs=pps.PfsInput(repo="in", glob="/")),
    )
    outcome = jobs.await_head(client, "reporting", time.monotonic() + 60, print)
    assert outcome.good, outcome.words
    assert outcome.words.rpartition("  ")[0] == words


def test_the_version_follows_spec_image_and_the_code_of_that_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(image: str | None = None) -> dict[str, str]:
        return {spec.name: spec.version for spec in specs.load(image)}

    before = loaded()
    assert loaded() == before
    assert not set(loaded("registry/pipelines:2").values()) & set(before.values())
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b" " * (path.name == "feedback.py"))
    changed = {name for name, version in loaded().items() if version != before[name]}
    assert changed == {"fmnist-feedback-train"}


def test_a_pipeline_comes_after_those_whose_output_it_reads() -> None:
    names = [spec.name for spec in specs.load(None)]
    assert names.index("fmnist-leakage") > max(names.index("fmnist-train"), names.index("fmnist-test"))


def test_the_image_of_a_cluster_gets_into_every_spec() -> None:
    assert {spec.document["transform"]["image"] for spec in specs.load("registry/pipelines:2")} == {
        "registry/pipelines:2"
    }


@pytest.mark.slow
def test_a_pachd_that_does_not_answer_is_said_with_what_to_do(pachd: LocalPachd) -> None:
    client = pachd.client()
    pachd.stop()
    with pytest.raises(DeployError, match="make up"):
        deploy(client, specs.load(None))
    assert "make up" in start(pachd).stderr
