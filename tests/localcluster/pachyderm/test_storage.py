"""Blobs, names and garbage: the storage below the rules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcluster.pachyderm.blobs import Blob
from localcluster.pachyderm.errors import DataLoss, PachdError
from localcluster.pachyderm.names import (
    Ancestry,
    CommitName,
    RepoName,
    check_file,
    clean_path,
    is_commit_id,
    new_commit_id,
    parse_ancestry,
)
from localcluster.pachyderm.state import commits, files, history, repos, trees
from localcluster.pachyderm.state.changes import Append, Delete
from localcluster.pachyderm.state.store import Store
from localcluster.settings import REPOSITORY

REPO = RepoName("default", "data")


def _blob(store: Store, data: bytes) -> Blob:
    writer = store.blobs.writer()
    writer.write(data)
    blob = writer.store()
    store.blobs.sync([blob])
    return blob


def _put(store: Store, path: str, data: bytes) -> None:
    blob = _blob(store, data)
    with store.database.write() as tx:
        history.modify(tx, store.blobs, CommitName(REPO, branch="master"), [Delete(path), Append(path, blob)])


@pytest.fixture
def repo(store: Store) -> RepoName:
    """An empty repo."""
    with store.database.write() as tx:
        repos.create(tx, REPO)
    return REPO


def test_equal_bytes_are_stored_once(store: Store) -> None:
    first, second, other = (_blob(store, data) for data in (b"same", b"same", b"other"))
    assert first == second != other
    assert len([path for path in store.blobs.root.rglob("*") if path.is_file()]) == 2
    assert not any(store.blobs.uploads.iterdir())


def test_many_blobs_are_synced_together(store: Store) -> None:
    blobs = []
    for number in range(20):
        writer = store.blobs.writer()
        writer.write(b"%d" % number)
        blobs.append(writer.store())
    store.blobs.sync(blobs)
    assert [b"".join(store.blobs.read([blob.id])) for blob in blobs] == [b"%d" % n for n in range(20)]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offset=st.integers(0, 12), chunk=st.integers(1, 5))
def test_reading_from_any_offset_in_any_chunks(store: Store, offset: int, chunk: int) -> None:
    pieces = [_blob(store, data).id for data in (b"0123", b"", b"45", b"6789")]
    parts = list(store.blobs.read(pieces, offset, chunk))
    assert b"".join(parts) == b"0123456789"[offset:]
    assert all(len(part) <= chunk for part in parts)


def test_what_nothing_refers_to_is_removed_at_the_next_start(store: Store, repo: RepoName) -> None:
    _put(store, "/kept", b"kept")
    _blob(store, b"orphan")
    unfinished = store.blobs.writer()
    unfinished.write(b"unfinished")
    with store.database.read() as tx:
        referenced = trees.referenced_blobs(tx)
    assert store.blobs.collect(referenced) == 2
    assert store.blobs.collect(referenced) == 0
    assert list(store.fsck()) == []


def test_fsck_finds_a_flipped_bit_and_a_missing_blob(store: Store, repo: RepoName) -> None:
    for name in ("flipped", "missing", "whole"):
        _put(store, f"/{name}", name.encode())
    with store.database.read() as tx:
        head = commits.resolve(tx, CommitName(REPO, branch="master"))
        blobs = {node.path: node.pieces[0] for node in files.walk(tx, head, "/") if node.pieces}
    store.blobs.path(blobs["/flipped"]).write_bytes(b"flipPed")
    store.blobs.path(blobs["/missing"]).unlink()
    faults = sorted(store.fsck())
    assert len(faults) == 2
    assert any("is missing" in fault for fault in faults)
    assert any("has the hash" in fault for fault in faults)
    with pytest.raises(DataLoss, match="is missing"):
        list(store.blobs.read([blobs["/missing"]]))


def test_a_long_line_of_commits_is_read_through_few_layers(store: Store, repo: RepoName) -> None:
    for number in range(150):
        _put(store, f"/{number % 40}", b"%d" % number)
    with store.database.read() as tx:
        head = commits.resolve(tx, CommitName(REPO, branch="master"))
        assert len(trees.Tree(tx, head.number).layers) <= trees.MOST_LAYERS
        assert len(trees.Tree(tx, head.number).files()) == 40
        hundredth = commits.resolve(tx, CommitName(REPO, branch="master.100"))
        assert b"".join(store.blobs.read(files.glob(tx, hundredth, "/19")[0].pieces or [])) == b"99"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("master", Ancestry("master")),
        ("master^", Ancestry("master", 1)),
        ("master^^^", Ancestry("master", 3)),
        ("master^2", Ancestry("master", 2)),
        ("master^^2", Ancestry("master", 3)),
        ("master.3", Ancestry("master", 0, 3)),
    ],
)
def test_ancestry(text: str, expected: Ancestry) -> None:
    assert parse_ancestry(text) == expected


@pytest.mark.parametrize("text", ["^2", "master^x", "master.", "a^1^2"])
def test_no_ancestry(text: str) -> None:
    with pytest.raises(PachdError, match="invalid ancestry format"):
        parse_ancestry(text)


@given(st.text(st.sampled_from("ab/. ~"), min_size=1))
def test_an_accepted_path_is_stored_in_one_form(path: str) -> None:
    try:
        check_file(path)
    except PachdError:
        return
    clean = clean_path(path)
    assert clean.startswith("/")
    assert not clean.endswith("/")
    assert "//" not in clean
    assert clean_path(clean) == clean


def test_a_commit_id_is_told_from_a_branch() -> None:
    assert is_commit_id(new_commit_id())
    assert not is_commit_id("master")
    assert not is_commit_id("deadbeef" * 4)


@pytest.mark.parametrize("arguments", [["fsck"], []])
def test_a_damaged_database_is_told_in_words(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "pachyderm").mkdir()
    (tmp_path / "pachyderm" / "pachd.sqlite").write_bytes(b"no database" * 1000)
    answer = subprocess.run(
        [sys.executable, "-m", "localcluster.pachyderm", *arguments],
        env={**os.environ, "LOCALCLUSTER_HOME": str(tmp_path)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 1
    assert "database: file is not a database; restore the directory from a backup" in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
