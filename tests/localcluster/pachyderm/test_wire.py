"""What is encoded by hand is what betterproto would have encoded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pachyderm_sdk.api import pfs

from localcluster.pachyderm.names import RepoName
from localcluster.pachyderm.servicer import wire
from localcluster.pachyderm.state.commits import Commit, Origin
from localcluster.pachyderm.state.files import Node

TIMES = st.integers(1, 2**52)


@given(
    origin=st.sampled_from(Origin),
    finished=st.none() | TIMES,
    path=st.text(min_size=1, max_size=300),
    size=st.integers(0, 2**62),
    hash_=st.binary(min_size=32, max_size=32),
    directory=st.booleans(),
)
def test_a_listed_file(
    origin: Origin, finished: int | None, path: str, size: int, hash_: bytes, directory: bool
) -> None:
    repo = RepoName("default", "data")
    commit = Commit(1, repo, 1, "c" * 32, "master", None, origin, "", 1, finished, "", 0)
    (encoded,) = wire.file_infos(commit, [Node(path, size, hash_, None if directory else [])])
    datum = "default" if origin is Origin.USER and not directory else ""
    expected = pfs.FileInfo(
        file=pfs.File(commit=wire.commit_message(commit), path=path, datum=datum),
        file_type=pfs.FileType.DIR if directory else pfs.FileType.FILE,
        committed=wire.time(finished),
        size_bytes=size,
        hash=hash_,
    )
    assert pfs.FileInfo.FromString(encoded) == pfs.FileInfo.FromString(bytes(expected))
    assert len(encoded) == len(bytes(expected))
