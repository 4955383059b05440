"""Which commit a reference stands for, and what is read from it; against a real pachd."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import source
from errors import CommitRefused, ConfigError
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from tests.conftest import validated
from tests.fmnist.conftest import shapes


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def repo(pachd: Client) -> str:
    """A fresh repo."""
    name = f"train-{uuid.uuid4().hex[:8]}"
    pachd.pfs.create_repo(repo=pfs.Repo(name=name))
    return name


def commit(client: Client, repo: str, count: int = 20, **changed: bytes | None) -> str:
    """Commit a split of `count` images, some files changed or left out; the commit's id."""
    contents = {**validated(*shapes(count)), **{name.replace("_", "."): data for name, data in changed.items()}}
    with client.pfs.commit(branch=pfs.Branch.from_uri(f"{repo}@master")) as opened:
        for name, content in contents.items():
            if content is not None:
                opened.put_file_from_bytes(path=f"/{name}", data=content)
    opened.wait()
    return str(opened.id)


def now() -> datetime:
    return datetime.now(UTC)


def test_a_branch_means_its_head_when_the_experiment_was_created(pachd: Client, repo: str) -> None:
    first = commit(pachd, repo, 20)
    created = now()
    second = commit(pachd, repo, 40)
    assert source.pin(pachd, f"{repo}@master", created).commit == first
    pinned = source.pin(pachd, f"{repo}@master", now())
    assert pinned.provenance() == {"repo": repo, "branch": "master", "commit": second}
    assert source.pin(pachd, f"default/{repo}@{first}", now()).provenance() == {
        "repo": repo,
        "branch": None,
        "commit": first,
    }


def test_an_open_commit_is_passed_over(pachd: Client, repo: str) -> None:
    first = commit(pachd, repo)
    opened = pachd.pfs.start_commit(branch=pfs.Branch.from_uri(f"{repo}@master"))
    assert source.pin(pachd, f"{repo}@master", now()).commit == first
    with pytest.raises(CommitRefused, match="not finished"):
        source.pin(pachd, f"{repo}@{opened.id}", now())


def test_what_cannot_be_trained_on_is_refused(pachd: Client, repo: str) -> None:
    with pytest.raises(CommitRefused, match="not found"):
        source.pin(pachd, "no-such-repo@master", now())
    with pytest.raises(CommitRefused, match="not found"):
        source.pin(pachd, f"{repo}@master", now())
    commit(pachd, repo)
    with pytest.raises(CommitRefused, match="no finished commit when the experiment was created"):
        source.pin(pachd, f"{repo}@master", now() - timedelta(days=1))
    for reference in (repo, f"{repo}@", f"{repo}@master:/x", f"a/b/{repo}@master"):
        with pytest.raises(ConfigError, match="not of the form"):
            source.pin(pachd, reference, now())


def test_missing_files_are_named(pachd: Client, repo: str) -> None:
    commit(pachd, repo, labels_npy=None, report_json=None, readme_txt=b"?")
    with pytest.raises(CommitRefused, match=r"lacks labels.npy and report.json \(it holds images.npy, readme.txt\)"):
        source.pin(pachd, f"{repo}@master", now())


def test_only_a_validation_that_passed_counts(pachd: Client, repo: str) -> None:
    commit(pachd, repo, report_json=b'{"verdict": "failed"}')
    with pytest.raises(CommitRefused, match="verdict of its validation is 'failed'"):
        source.pin(pachd, f"{repo}@master", now())


def test_a_failed_commit_is_refused_though_its_ancestor_can_be_read(pachd: Client, repo: str) -> None:
    commit(pachd, repo)
    opened = pachd.pfs.start_commit(branch=pfs.Branch.from_uri(f"{repo}@master"))
    pachd.pfs.finish_commit(commit=opened, error="the labels are shifted")
    with pytest.raises(CommitRefused, match=r"failed: the labels are shifted; `pachctl inspect job"):
        source.pin(pachd, f"{repo}@master", now())


def test_a_running_validation_counts_from_its_start_and_is_waited_for(pachd: Client, repo: str) -> None:
    pachd.pfs.create_repo(repo=pfs.Repo(name=f"{repo}-out"))
    commit(pachd, repo)
    output = pfs.Branch.from_uri(f"{repo}-out@master")
    pachd.pfs.create_branch(branch=output, provenance=[pfs.Branch.from_uri(f"{repo}@master")])
    running = pachd.pfs.inspect_branch(branch=output).head
    created = now()
    with ThreadPoolExecutor(1) as pool:
        pinned = pool.submit(source.pin, pachd, f"{repo}-out@master", created)
        for name, content in validated(*shapes(20)).items():
            pachd.pfs.put_file_from_bytes(commit=running, path=f"/{name}", data=content)
        assert not pinned.done()
        pachd.pfs.finish_commit(commit=running)
        assert pinned.result(timeout=60).commit == running.id
    assert source.pin(pachd, f"{repo}-out@master", created).commit == running.id


def test_files_are_read_whole_and_kept(pachd: Client, repo: str, tmp_path: Path) -> None:
    commit(pachd, repo, 30)
    pinned = source.pin(pachd, f"{repo}@master", now())
    contents = source.fetch(pachd, pinned)
    assert contents == {name: validated(*shapes(30))[name] for name in source.FILES}
    kept = tmp_path / "cache" / "fashion-classifier" / "default" / repo / pinned.commit
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == contents
    (kept / source.LABELS).write_bytes(b"half")
    assert source.fetch(pachd, pinned) == contents


def test_a_cache_that_cannot_be_written_does_not_matter(
    pachd: Client, repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    commit(pachd, repo)
    pinned = source.pin(pachd, f"{repo}@master", now())
    assert set(source.fetch(pachd, pinned)) == set(source.FILES)
