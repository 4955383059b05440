"""Which commit a reference stands for, and what is read from it; against a real pachd."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import source
from errors import CommitRefused, ConfigError
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from tests.conftest import idx
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


def commit(client: Client, repo: str, count: int = 20, names: tuple[str, ...] = source.FILES) -> str:
    """Commit a split of `count` images; the commit's id."""
    images, labels = shapes(count)
    contents = {source.IMAGES: idx(images), source.LABELS: idx(labels)}
    with client.pfs.commit(branch=pfs.Branch.from_uri(f"{repo}@master")) as opened:
        for name in names:
            opened.put_file_from_bytes(path=f"/{name}", data=contents.get(name, b"?"))
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
    commit(pachd, repo, names=(source.IMAGES, "readme.txt"))
    with pytest.raises(CommitRefused, match=f"lacks {source.LABELS} .it holds readme.txt, {source.IMAGES}"):
        source.pin(pachd, f"{repo}@master", now())


def test_files_are_read_whole_and_kept(pachd: Client, repo: str, tmp_path: Path) -> None:
    commit(pachd, repo, 30)
    pinned = source.pin(pachd, f"{repo}@master", now())
    contents = source.fetch(pachd, pinned)
    assert contents == {source.IMAGES: idx(shapes(30)[0]), source.LABELS: idx(shapes(30)[1])}
    kept = tmp_path / "cache" / "fashion-classifier" / pinned.commit
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
