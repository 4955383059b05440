"""PFS against a model: after any sequence of changes every commit holds what a dict would."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from localcluster.pachyderm.blobs import Blobs
from localcluster.pachyderm.hashes import FileHash
from localcluster.pachyderm.names import CommitName, RepoName
from localcluster.pachyderm.state import commit_sets, commits, files, history, repos, trees
from localcluster.pachyderm.state.changes import Append, Change, Copy, Delete
from localcluster.pachyderm.state.commits import Commit
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.store import Store
from tests.contract.pachyderm.pachd import LocalPachd

REPO = RepoName("default", "model")
Model = dict[str, bytes]

PATHS = st.sampled_from(["/f", "/g", "/d/f", "/d/e/f", "/d/e/g", "/d.x", "/c/f"])
CONTENT = st.binary(max_size=6)

Step = tuple[str, str, bytes | str]
STEPS = st.one_of(
    st.tuples(st.just("put"), PATHS, CONTENT),
    st.tuples(st.just("append"), PATHS, CONTENT),
    st.tuples(st.just("delete"), st.sampled_from(["/f", "/d/", "/d/e/", "/d", "/missing", "/"]), st.just(b"")),
    st.tuples(st.just("copy"), st.sampled_from(["/f", "/c", "/g"]), st.sampled_from(["/f", "/g", "/d.x"])),
)
COMMITS = st.lists(st.lists(STEPS, max_size=6), min_size=1, max_size=8)


def _apply(model: Model, before: Model, step: Step) -> None:
    match step:
        case "put", path, bytes(data):
            model[path] = data
        case "append", path, bytes(data):
            model[path] = model.get(path, b"") + data
        case "delete", path, _:
            doomed = [p for p in model if p.startswith(path)] if path.endswith("/") else [path]
            for victim in doomed:
                model.pop(victim, None)
        case "copy", path, str(source) if source in before:
            model[path] = before[source]


def _colliding(model: Model) -> bool:
    return any(other.startswith(f"{path}/") for path in model for other in model)


def _changes(blobs: Blobs, base: Commit, before: Model, step: Step) -> Iterator[Change]:
    match step:
        case (("put" | "append" as kind), path, bytes(data)):
            if kind == "put":
                yield Delete(path)
            writer = blobs.writer()
            writer.write(data)
            yield Append(path, writer.store())
        case "delete", path, _:
            yield Delete(path)
        case "copy", path, str(source) if source in before:
            yield Copy(path, CommitName(REPO, base.id), source, append=False)


def _content(tx: Transaction, blobs: Blobs, commit: Commit) -> Model:
    return {
        node.path: b"".join(blobs.read(node.pieces)) for node in files.walk(tx, commit, "/") if node.pieces is not None
    }


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=COMMITS, layers=st.integers(1, 4), squashed=st.lists(st.integers(0, 6), max_size=3))
def test_every_commit_holds_what_a_dict_would(made: list[list[Step]], layers: int, squashed: list[int]) -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        patch.object(trees, "MOST_LAYERS", layers),
        patch.object(trees, "FEWEST_CHANGES", 2),
    ):
        store = Store(Path(directory))
        expected: list[tuple[int, Model]] = []
        model: Model = {}
        with store.database.write() as tx:
            repos.create(tx, REPO)
            base = history.start(tx, REPO, "base")
            history.finish(tx, base)
            expected.append((base.number, {}))
        for steps in made:
            before = dict(model)
            with store.database.write() as tx:
                good = commits.get(tx, expected[-1][0])
                commit = history.start(tx, REPO, "base")
                changes = [c for step in steps for c in _changes(store.blobs, good, before, step)]
                history.modify(tx, store.blobs, CommitName(REPO, commit.id), changes)
                for step in steps:
                    _apply(model, before, step)
                history.finish(tx, commits.get(tx, commit.number))
                finished = commits.get(tx, commit.number)
                assert bool(finished.error) == _colliding(model)
                if finished.error:
                    model = before
                else:
                    assert finished.size == sum(map(len, model.values()))
                    expected.append((commit.number, dict(model)))
        _check(store, expected)
        for place in squashed:
            if place < len(expected) - 1:
                with store.database.write() as tx:
                    commit_sets.squash(tx, [commits.get(tx, expected[place][0])])
                del expected[place]
        _check(store, expected)
        assert list(store.fsck()) == []


def _check(store: Store, expected: list[tuple[int, Model]]) -> None:
    with store.database.read() as tx:
        for number, model in expected:
            commit = commits.get(tx, number)
            assert _content(tx, store.blobs, commit) == model
            for path, data in model.items():
                whole = FileHash()
                whole.update(data)
                assert files.glob(tx, commit, path)[0].hash == whole.digest()
            sizes = [node.size for node in files.glob(tx, commit, "/")]
            assert sizes == ([sum(map(len, model.values()))] if model else [])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The genuine client of a pachd for this module."""
    pachd = LocalPachd(tmp_path_factory.mktemp("model"))
    pachd.start()
    yield pachd.client()
    pachd.kill()


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=st.lists(st.lists(STEPS, max_size=5), min_size=1, max_size=4))
def test_the_genuine_client_sees_what_a_dict_would(client: Client, made: list[list[Step]]) -> None:
    branch = pfs.Branch.from_uri(f"model-{uuid.uuid4().hex}@master")
    client.pfs.create_repo(repo=branch.repo)
    client.pfs.create_branch(branch=branch)
    before: Model = {}
    for steps in made:
        model = dict(before)
        parent = client.pfs.inspect_branch(branch=branch).head
        with client.pfs.commit(branch=branch) as commit:
            for step in steps:
                _apply(model, before, step)
                match step:
                    case (("put" | "append" as kind), path, bytes(data)):
                        commit.put_file_from_bytes(path, data, append=kind == "append")
                    case "delete", path, _:
                        commit.delete_file(path=path)
                    case "copy", path, str(source) if source in before:
                        commit.copy_file(src=pfs.File(commit=parent, path=source), dst=path)
        if commit.wait().error:
            assert _colliding(model)
            return
        assert not _colliding(model)
        found = {}
        for info in client.pfs.walk_file(file=pfs.File(commit=commit, path="/")):
            if info.file_type == pfs.FileType.FILE:
                found[info.file.path] = client.pfs.pfs_file(info.file).read()
        assert found == model
        before = model
