"""Reading files: content, tar streams, inspect, list, walk, glob and diff."""

from __future__ import annotations

import hashlib
import random
import tarfile
from pathlib import Path

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from tests.contract.pachyderm.helpers import file_at, names, put, read, refused

FILES = {"/a/b/file3.dat": b"333", "/a/file2.dat": b"22", "/a.txt": b"dot", "/file1.dat": b"1", "/z": b"z"}


@pytest.fixture
def commit(client: Client, master: pfs.Branch) -> pfs.Commit:
    """A commit of FILES."""
    return put(client, master, FILES)


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def test_content_from_an_offset(client: Client, commit: pfs.Commit) -> None:
    parts = client.pfs.get_file(file=file_at(commit, "/a/b/file3.dat"), offset=1)
    assert b"".join(part.value for part in parts) == b"33"
    assert b"".join(p.value for p in client.pfs.get_file(file=file_at(commit, "/file1.dat"), offset=1)) == b""
    assert b"".join(p.value for p in client.pfs.get_file(file=file_at(commit, "/file1.dat"), offset=9)) == b""


def test_offsets_within_a_file_of_several_pieces(client: Client, master: pfs.Branch) -> None:
    put(client, master, {"/a": b"0123"})
    with client.pfs.commit(branch=master) as commit:
        commit.put_file_from_bytes("/a", b"4567", append=True)
    for offset in range(9):
        parts = client.pfs.get_file(file=file_at(commit, "/a"), offset=offset)
        assert b"".join(part.value for part in parts) == b"01234567"[offset:]


def test_lines_of_a_pfs_file(client: Client, master: pfs.Branch) -> None:
    commit = put(client, master, {"/lines": b"one\ntwo\n"})
    with client.pfs.pfs_file(file_at(commit, "/lines")) as stream:
        assert list(stream) == [b"one\n", b"two\n"]


def test_getting_what_is_not_one_file(client: Client, commit: pfs.Commit) -> None:
    for path, words, code in [
        ("/missing", f"file /missing not found in repo {commit.repo.as_uri()} at commit", "NOT_FOUND"),
        ("/a", "cannot get directory or non-regular file", "UNKNOWN"),
        ("/*", "cannot get directory or non-regular file", "UNKNOWN"),
        ("/@(z|file1.dat)", "matched multiple files", "UNKNOWN"),
    ]:
        with refused(grpc.StatusCode[code], words):
            list(client.pfs.get_file(file=file_at(commit, path)))
    with pytest.raises(ValueError, match="Error instantiating PFSFile"):
        client.pfs.pfs_file(file_at(commit, "/missing"))
    assert read(client, f"{commit.repo.as_uri()}@{commit.id}:/file*.dat") == b"1"


def test_a_tar_stream_unpacks_to_the_same_tree(client: Client, commit: pfs.Commit, tmp_path: Path) -> None:
    with client.pfs.pfs_tar_file(file_at(commit, "/")) as archive:
        archive.extractall(tmp_path)
    unpacked = {f"/{path.relative_to(tmp_path)}": path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert unpacked == FILES


def test_a_tar_stream_of_a_directory_or_a_glob(client: Client, commit: pfs.Commit) -> None:
    def members(path: str) -> list[str]:
        with client.pfs.pfs_tar_file(file_at(commit, path)) as archive:
            return [member.name for member in archive]

    assert members("/a") == ["a", "a/b", "a/b/file3.dat", "a/file2.dat"]
    assert members("/")[:2] == ["", "a.txt"]
    assert members("/*.dat") == ["file1.dat"]
    assert members("/a/*") == ["a/b", "a/b/file3.dat", "a/file2.dat"]
    with pytest.raises((ValueError, tarfile.TarError)):
        members("/missing")


def test_inspect_with_and_without_a_slash(client: Client, commit: pfs.Commit) -> None:
    for path in ("/a", "/a/"):
        info = client.pfs.inspect_file(file=file_at(commit, path))
        assert (info.file.path, info.file_type, info.size_bytes) == ("/a/", pfs.FileType.DIR, 5)
    for path in ("/file1.dat", "/file1.dat/", "file1.dat"):
        info = client.pfs.inspect_file(file=file_at(commit, path))
        assert (info.file.path, info.file_type, info.size_bytes) == ("/file1.dat", pfs.FileType.FILE, 1)
    assert info.file.commit.id == commit.id
    assert info.committed == client.pfs.inspect_commit(commit=commit).finishing
    with refused(grpc.StatusCode.NOT_FOUND, "file /missing not found"):
        client.pfs.inspect_file(file=file_at(commit, "/missing"))
    assert client.pfs.path_exists(file_at(commit, "/a"))
    assert not client.pfs.path_exists(file_at(commit, "/missing"))


def test_hashes(client: Client, commit: pfs.Commit) -> None:
    info = client.pfs.inspect_file(
        file=file_at(put(client, pfs.Branch(repo=commit.repo, name="x"), {"/f": b"DATA"}), "/f")
    )
    assert info.hash.hex().startswith("b5923dfb0198c466")
    leaf, other = (_hash(_hash(data)) for data in (b"333", b"22"))
    directory = client.pfs.inspect_file(file=file_at(commit, "/a"))
    assert directory.hash == _hash(_hash(leaf) + other)


@pytest.mark.slow
def test_the_hash_of_a_large_file_is_that_of_its_chunks(client: Client, master: pfs.Branch) -> None:
    # As upstream's chunker makes it of the whole file, and of parts, unless the first have less than 1 MB each.
    expected = "d0c7616a37a918e8a0605ae9a505b254a7affbcb218760d6748144f3b1512e99"
    data = random.Random(6).randbytes(60_000_000)
    whole = put(client, master, {"/whole": data})
    assert client.pfs.inspect_file(file=file_at(whole, "/whole")).hash.hex() == expected
    with client.pfs.commit(branch=master) as commit:
        for begin, end in ((0, 1_500_000), (1_500_000, 31_234_567), (31_234_567, len(data))):
            commit.put_file_from_bytes(path="/parts", data=data[begin:end], append=True)
    commit.wait()
    assert client.pfs.inspect_file(file=file_at(commit, "/parts")).hash.hex() == expected


def test_list(client: Client, commit: pfs.Commit) -> None:
    def listed(path: str) -> list[str]:
        return names(client.pfs.list_file(file=file_at(commit, path)))

    assert listed("/") == listed("") == ["/a.txt", "/a/", "/file1.dat", "/z"]
    assert listed("/a") == listed("a/") == ["/a/b/", "/a/file2.dat"]
    assert listed("/file1.dat") == ["/file1.dat"]
    assert listed("/missing") == []


def test_walk(client: Client, commit: pfs.Commit) -> None:
    def walked(path: str, **options: object) -> list[str]:
        return names(client.pfs.walk_file(file=file_at(commit, path), **options))

    everything = ["/", "/a.txt", "/a/", "/a/b/", "/a/b/file3.dat", "/a/file2.dat", "/file1.dat", "/z"]
    assert walked("/") == everything
    assert walked("/a") == ["/a/", "/a/b/", "/a/b/file3.dat", "/a/file2.dat"]
    assert walked("/", number=2) == everything[:2]
    assert walked("/", number=2, reverse=True) == everything[:-3:-1]
    assert walked("/", pagination_marker=file_at(commit, "/a/file2.dat")) == ["/file1.dat", "/z"]
    with refused(grpc.StatusCode.NOT_FOUND, f"commit/{commit.id} does not contain item: (/missing)"):
        walked("/missing")


def test_walking_an_empty_commit(client: Client, master: pfs.Branch) -> None:
    empty = put(client, master, {})
    assert list(client.pfs.walk_file(file=file_at(empty, "/"))) == []
    assert list(client.pfs.list_file(file=file_at(empty, "/"))) == []
    assert names(client.pfs.glob_file(commit=empty, pattern="/")) == []
    with refused(grpc.StatusCode.NOT_FOUND, "file / not found"):
        client.pfs.inspect_file(file=file_at(empty, "/"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/", ["/"]),
        ("*", ["/a.txt", "/a/", "/file1.dat", "/z"]),
        ("/*", ["/a.txt", "/a/", "/file1.dat", "/z"]),
        ("/*.dat", ["/file1.dat"]),
        ("/a", ["/a/"]),
        ("/a/", ["/a/"]),
        ("/a/*", ["/a/b/", "/a/file2.dat"]),
        ("/*/*", ["/a/b/", "/a/file2.dat"]),
        ("/**.dat", ["/a/b/file3.dat", "/a/file2.dat", "/file1.dat"]),
        ("/a/f**", ["/a/file2.dat"]),
        ("/a**3.dat", ["/a/b/file3.dat"]),
        ("**", ["/a.txt", "/a/", "/a/b/", "/a/b/file3.dat", "/a/file2.dat", "/file1.dat", "/z"]),
        ("/a/**", ["/a/b/", "/a/b/file3.dat", "/a/file2.dat"]),
        ("/file?.dat", ["/file1.dat"]),
        ("/[f-g]*", ["/file1.dat"]),
        ("/[^a]*", ["/file1.dat", "/z"]),
        ("/[!a]*", ["/file1.dat", "/z"]),
        ("/{z,file1.dat}", ["/file1.dat", "/z"]),
        ("/@(z|a.txt)", ["/a.txt", "/z"]),
        ("/!(z|a*)", ["/file1.dat"]),
        ("{/z,/a.txt}", []),
        ("/nothing*", []),
        ("/missing", []),
    ],
)
def test_glob(client: Client, commit: pfs.Commit, pattern: str, expected: list[str]) -> None:
    assert names(client.pfs.glob_file(commit=commit, pattern=pattern)) == expected


def test_diff_with_the_parent(client: Client, master: pfs.Branch) -> None:
    put(client, master, {"/same": b"s", "/d/old": b"o", "/changed": b"1"})
    with client.pfs.commit(branch=master) as commit:
        commit.delete_file(path="/d/old")
        commit.put_file_from_bytes("/d/new", b"n")
        commit.put_file_from_bytes("/changed", b"2")
    pairs = [
        (pair.new_file.file.path, pair.old_file.file.path)
        for pair in client.pfs.diff_file(new_file=file_at(commit, "/"))
    ]
    assert pairs == [("/", "/"), ("/changed", "/changed"), ("/d/", "/d/"), ("/d/new", ""), ("", "/d/old")]


def test_diff_of_a_first_commit_and_of_two_places(client: Client, commit: pfs.Commit) -> None:
    first = [pair.new_file.file.path for pair in client.pfs.diff_file(new_file=file_at(commit, "/a"))]
    assert first == ["/a/", "/a/b/", "/a/b/file3.dat", "/a/file2.dat"]
    same = client.pfs.diff_file(new_file=file_at(commit, "/a"), old_file=file_at(commit, "/a"))
    assert list(same) == []
