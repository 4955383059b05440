"""ModifyFile in all its forms."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from tests.contract.pachyderm.helpers import file_at, names, put, read, refused

WEB_SIZE = 3_000_000


def test_put_overwrites_and_append_appends(client: Client, master: pfs.Branch) -> None:
    uri = f"{master.as_uri()}:/a"
    put(client, master, {"/a": b"one"})
    put(client, master, {"/a": b"two"})
    assert read(client, uri) == b"two"
    with client.pfs.commit(branch=master) as commit:
        commit.put_file_from_bytes("/a", b"+three", append=True)
        commit.put_file_from_bytes("/a", b"+four", append=True)
    assert read(client, uri) == b"two+three+four"
    assert commit.wait().details.size_bytes == len(b"two+three+four")


def test_a_file_appended_to_very_often(client: Client, master: pfs.Branch) -> None:
    with client.pfs.commit(branch=master) as commit:
        for number in range(70):
            commit.put_file_from_bytes("/log", b"%d\n" % number, append=True)
    assert read(client, f"{master.as_uri()}:/log") == b"".join(b"%d\n" % n for n in range(70))
    put(client, master, {"/same": b"".join(b"%d\n" % n for n in range(70))})
    appended, whole = (
        client.pfs.inspect_file(file=pfs.File.from_uri(f"{master.as_uri()}:{path}")) for path in ("/log", "/same")
    )
    assert appended.hash == whole.hash


def test_an_empty_file(client: Client, master: pfs.Branch) -> None:
    client.pfs.modify_file(_stream(master, pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/empty"))))
    info = client.pfs.inspect_file(file=pfs.File.from_uri(f"{master.as_uri()}:/empty"))
    assert info.file_type == pfs.FileType.FILE
    assert info.size_bytes == 0
    assert read(client, f"{master.as_uri()}:/empty") == b""


def test_a_large_file_comes_back_as_it_was(client: Client, master: pfs.Branch) -> None:
    data = os.urandom(41 * 1024 * 1024)
    with client.pfs.commit(branch=master) as commit:
        commit.put_file_from_file(path="/big", file=io.BytesIO(data))
    assert read(client, f"{master.as_uri()}:/big") == data


def test_a_directory_is_put_recursively(client: Client, master: pfs.Branch, tmp_path: Path) -> None:
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "top").write_bytes(b"1")
    (tmp_path / "sub" / "deep" / "leaf").write_bytes(b"2")
    with client.pfs.commit(branch=master) as commit:
        commit.put_files(source=tmp_path, path="/in")
    walked = names(client.pfs.walk_file(file=file_at(commit, "/")))
    assert walked == ["/", "/in/", "/in/sub/", "/in/sub/deep/", "/in/sub/deep/leaf", "/in/top"]


def test_delete(client: Client, master: pfs.Branch) -> None:
    put(client, master, {"/a": b"1", "/d/x": b"2", "/d/y/z": b"3", "/da": b"4"})
    with client.pfs.commit(branch=master) as commit:
        commit.delete_file(path="/d")
        commit.delete_file(path="/missing")
        assert len(names(client.pfs.walk_file(file=file_at(commit, "/d/")))) == 4
        commit.delete_file(path="/d/")
        commit.delete_file(path="/a")
    assert names(client.pfs.walk_file(file=file_at(commit, "/"))) == ["/", "/da"]


def test_copy(client: Client, master: pfs.Branch) -> None:
    put(client, master, {"/a": b"1", "/d/x": b"2", "/d/y/z": b"3"})
    source = f"{master.as_uri()}:"
    with client.pfs.commit(branch=master) as commit:
        commit.copy_file(src=pfs.File.from_uri(f"{source}/a"), dst="/b")
        commit.copy_file(src=pfs.File.from_uri(f"{source}/a"), dst="/b", append=True)
        commit.copy_file(src=pfs.File.from_uri(f"{source}/d"), dst="/e")
        commit.copy_file(src=pfs.File.from_uri(f"{source}/missing"), dst="/f")
    assert read(client, f"{source}/b") == b"11"
    assert names(client.pfs.walk_file(file=file_at(commit, "/e"))) == ["/e/", "/e/x", "/e/y/", "/e/y/z"]


def test_a_branch_write_makes_a_commit_of_its_own(client: Client, master: pfs.Branch) -> None:
    for data in (b"1", b"2"):
        client.pfs.modify_file(_stream(master, pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=data))))
    infos = list(client.pfs.list_commit(repo=master.repo))
    assert len(infos) == 2
    assert all(info.finishing.timestamp() > 0 for info in infos)
    assert read(client, f"{master.as_uri()}:/a") == b"12"


def test_a_branch_write_goes_into_the_open_commit(client: Client, master: pfs.Branch) -> None:
    with client.pfs.commit(branch=master):
        client.pfs.modify_file(_stream(master, pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"1"))))
    assert len(list(client.pfs.list_commit(repo=master.repo))) == 1
    assert read(client, f"{master.as_uri()}:/a") == b"1"


class _Web(BaseHTTPRequestHandler):
    """`/whole` and `/torn` (which promises more than it sends); nothing else."""

    def do_GET(self) -> None:
        if self.path not in ("/whole", "/torn"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(WEB_SIZE))
        self.end_headers()
        self.wfile.write(bytes(WEB_SIZE if self.path == "/whole" else WEB_SIZE // 2))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    """The address of a web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_from_a_web_server(client: Client, master: pfs.Branch, web: str) -> None:
    with client.pfs.commit(branch=master) as commit:
        commit.put_file_from_url(path="/web", url=f"{web}/whole")
        for address, words in [
            (f"{web}/missing", f'error retrieving content from "{web}/missing": 404'),
            (f"{web}/torn", "unexpected EOF"),
        ]:
            with refused(grpc.StatusCode.UNKNOWN, words):
                commit.put_file_from_url(path="/no", url=address)
    assert read(client, f"{master.as_uri()}:/web") == bytes(WEB_SIZE)
    assert names(client.pfs.list_file(file=file_at(commit, "/"))) == ["/web"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/ä", "only printable ASCII characters allowed"),
        ("/a\nb", "only printable ASCII characters allowed"),
        ("/a*", "globbing character (*) not allowed in path"),
        ("/a[1]", "globbing character ([) not allowed in path"),
        ("/../a", "relative file paths are not allowed"),
        ("/a/./b", "relative file paths are not allowed"),
    ],
)
def test_a_bad_path_is_refused_and_nothing_is_written(
    client: Client, master: pfs.Branch, path: str, words: str
) -> None:
    stream = _stream(
        master,
        pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/good", raw=b"1")),
        pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=b"1")),
    )
    with refused(grpc.StatusCode.UNKNOWN, words):
        client.pfs.modify_file(stream)
    assert list(client.pfs.list_commit(repo=master.repo)) == []


def test_a_stream_begins_with_its_commit(client: Client, master: pfs.Branch) -> None:
    add = pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"1"))
    with refused(grpc.StatusCode.UNKNOWN, "first message must be a commit"):
        client.pfs.modify_file(iter([add]))
    with refused(grpc.StatusCode.UNKNOWN, "cannot set commit"):
        client.pfs.modify_file(_stream(master, next(_stream(master))))


def _stream(branch: pfs.Branch, *requests: pfs.ModifyFileRequest) -> Iterator[pfs.ModifyFileRequest]:
    return iter([pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch)), *requests])
