"""Datums of an input: which, in what order, and with upstream's ids and hashes."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcluster.pachyderm.blobs import Blob
from localcluster.pachyderm.errors import PachdError
from localcluster.pachyderm.names import CommitName, RepoName
from localcluster.pachyderm.pipelines import inputs
from localcluster.pachyderm.specs.spec import Cross, Input, Pfs, Union
from localcluster.pachyderm.state import commits, history, repos
from localcluster.pachyderm.state.changes import Append
from localcluster.pachyderm.state.commits import Commit
from localcluster.pachyderm.state.datums import Datum
from localcluster.pachyderm.state.store import Store

REPOS = ("one", "two", "three")
NAMES = st.lists(st.sampled_from(["a", "b", "c", "d/e", "d/f", "g"]), unique=True, max_size=6)


def _pfs(repo: str, glob: str = "/*", name: str = "") -> Pfs:
    return Pfs(name or repo, RepoName("default", repo), "master", glob, lazy=False, empty_files=False)


class Heads:
    """A store with repos of given files; `find` enumerates an input at their heads."""

    def __init__(self, store: Store, files: dict[str, list[str]]) -> None:
        self._store = store
        for repo, paths in files.items():
            with store.database.write() as tx:
                repos.create(tx, RepoName("default", repo))
                found = [Append(f"/{path}", self._blob(f"{repo} {path}".encode())) for path in paths]
                history.modify(tx, store.blobs, CommitName(RepoName("default", repo), branch="master"), found)

    def _blob(self, data: bytes) -> Blob:
        writer = self._store.blobs.writer()
        writer.write(data)
        return writer.store()

    def find(self, tree: Input, salt: str = "salt") -> list[Datum]:
        """The datums, in order."""
        with self._store.database.read() as tx:

            def commit_of(source: Pfs) -> Commit:
                return commits.resolve(tx, CommitName(source.repo, branch=source.branch))

            return inputs.find(tx, tree, commit_of, salt)


@contextmanager
def _heads(files: dict[str, list[str]]) -> Iterator[Heads]:
    with TemporaryDirectory() as directory:
        yield Heads(Store(Path(directory)), files)


def _paths(found: list[Datum]) -> list[tuple[str, ...]]:
    return [tuple(file.path for file in datum.inputs) for datum in found]


def _blake(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"".join(parts), digest_size=32).digest()


def test_id_and_hash_are_upstreams() -> None:
    with _heads({"one": ["a"]}) as heads:
        (datum,) = heads.find(_pfs("one", name="source"), salt="pepper")
    fields = (b"source", b"one", b"master", b"/a")
    identity = _blake(*(part for field in fields for part in (field, len(field).to_bytes(8, "big")))).hex()
    content = _blake(_blake(b"one a"))
    assert datum.id == identity
    assert datum.hash == _blake(identity.encode(), content, b"pepper")
    assert (datum.place, datum.inputs[0].size, datum.inputs[0].hash) == (0, 5, content.hex())


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("/", [("/",)]),
        ("/*", [("/a",), ("/d/",), ("/g",)]),
        ("/d/*", [("/d/e",), ("/d/f",)]),
        ("/d", [("/d/",)]),
        ("/**", [("/a",), ("/d/",), ("/d/e",), ("/d/f",), ("/g",)]),
        ("/nothing*", []),
    ],
)
def test_globs(glob: str, expected: list[tuple[str, ...]]) -> None:
    with _heads({"one": ["a", "d/e", "d/f", "g"]}) as heads:
        assert _paths(heads.find(_pfs("one", glob))) == expected


def test_an_empty_commit_has_no_datum() -> None:
    with _heads({"one": []}) as heads:
        assert heads.find(_pfs("one", "/")) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=NAMES, second=NAMES, third=NAMES)
def test_cross_and_union(first: list[str], second: list[str], third: list[str]) -> None:
    with _heads(dict(zip(REPOS, (first, second, third), strict=True))) as heads:
        single = [heads.find(_pfs(repo)) for repo in REPOS]
        crossed = heads.find(Cross((_pfs("one"), _pfs("two"))))
        united = heads.find(Union((_pfs("one"), _pfs("two"), _pfs("three"))))
        nested = heads.find(Cross((Union((_pfs("one"), _pfs("two"))), _pfs("three"))))
    expected = set(itertools.product(*(sum(_paths(found), ()) for found in single[:2])))
    assert set(_paths(crossed)) == expected
    assert len(crossed) == len(expected)
    # The first input is the slowest to change, and each is taken in the order of its own datums' ids.
    by_id = [sorted(found, key=lambda datum: datum.id) for found in single]
    assert _paths(crossed) == [a + b for a, b in itertools.product(*(_paths(found) for found in by_id[:2]))]
    assert sorted(datum.id for datum in united) == sorted(datum.id for found in single for datum in found)
    assert len(nested) == (len(single[0]) + len(single[1])) * len(single[2])
    for found in (crossed, united, nested):
        assert [datum.place for datum in found] == list(range(len(found)))
        assert len({datum.id for datum in found}) == len(found)


def test_a_file_that_two_inputs_of_a_union_match_is_one_datum() -> None:
    with _heads({"one": ["a", "b"]}) as heads:
        found = heads.find(Union((_pfs("one", "/*"), _pfs("one", "/a"))))
    assert sorted(_paths(found)) == [("/a",), ("/b",)]


@given(salts=st.lists(st.text(max_size=5), min_size=2, max_size=2, unique=True))
@settings(max_examples=10, deadline=None)
def test_the_salt_changes_every_hash_and_no_id(salts: list[str]) -> None:
    with _heads({"one": ["a", "b"]}) as heads:
        before, after = (heads.find(_pfs("one"), salt) for salt in salts)
    assert [datum.id for datum in before] == [datum.id for datum in after]
    assert not {datum.hash for datum in before} & {datum.hash for datum in after}


def test_a_cross_without_bounds_is_refused() -> None:
    sides = tuple(_pfs("one", name=f"i{number}") for number in range(40))
    with _heads({"one": ["a", "b"]}) as heads, pytest.raises(PachdError, match=f"the input has {2**40} datums"):
        heads.find(Cross(sides))
