"""Calls on files."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import NoReturn

from betterproto import Message, which_one_of
from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import pfs

from localcluster.pachyderm.blobs import Blobs
from localcluster.pachyderm.errors import FileNotFound, PachdError, Unimplemented, during
from localcluster.pachyderm.servicer import wire
from localcluster.pachyderm.servicer.content import Content
from localcluster.pachyderm.servicer.session import Session
from localcluster.pachyderm.servicer.uploads import Upload
from localcluster.pachyderm.servicer.validation import given
from localcluster.pachyderm.state import commits, files, history, trees
from localcluster.pachyderm.state.commits import Commit
from localcluster.pachyderm.state.database import Transaction
from localcluster.pachyderm.state.files import Node

MESSAGE = 2 * 1024 * 1024
"""Bytes of content in one message; larger ones were measured to be no faster."""


def modify_file(requests: Iterator[Content | pfs.ModifyFileRequest], session: Session) -> Empty | None:
    first = next(requests, None)
    kind, commit = ("", None) if first is None or isinstance(first, Content) else which_one_of(first, "body")
    if first is None:
        raise PachdError("EOF")
    if kind != "set_commit":
        raise PachdError("first message must be a commit")
    name = wire.commit_of(commit)
    with session.read() as tx:
        history.writable(tx, name)
    with Upload(session.blobs) as upload:
        changes = upload.receive(requests)
    session.require_complete(requests)
    with session.write() as tx:
        history.modify(tx, session.blobs, name, changes)
        session.require_active()
    return Empty()


def _open(tx: Transaction, request: Message, field: str = "file") -> Commit:
    return trees.readable(tx, wire.file_commit_name(request, field))


def get_file(request: pfs.GetFileRequest, session: Session) -> Iterator[bytes]:
    _no_url(request)
    if request.offset < 0:
        raise PachdError("offset cannot be negative")
    with session.read() as tx:
        name = wire.file_commit_name(request)
        with during("get file"):
            commit = trees.readable(tx, name)
            found = files.glob(tx, commit, request.file.path or "/")
        node = files.only_file(found or _missing(request.file))
    for data in session.blobs.read(node.pieces or [], request.offset, MESSAGE):
        yield wire.bytes_value(data)


def get_file_tar(request: pfs.GetFileRequest, session: Session) -> Iterator[bytes]:
    _no_url(request)
    with session.read() as tx:
        commit = _open(tx, request)
        found = files.glob(tx, commit, request.file.path or "/", contents=True) or _missing(request.file)
    yield from map(wire.bytes_value, _batched(_tar(session.blobs, commit, found)))


def _no_url(request: pfs.GetFileRequest) -> None:
    if request.url:
        raise Unimplemented("pfs_v2.API/GetFile: writing to a URL is not served by this pachd; get the file instead")


def _tar(blobs: Blobs, commit: Commit, nodes: list[Node]) -> Iterator[bytes]:
    """A tar stream with absolute names, as upstream's."""
    for node in nodes:
        header = tarfile.TarInfo(node.path)
        header.mode = 0
        header.mtime = (commit.finished or commit.started) // 1_000_000
        header.type = tarfile.DIRTYPE if node.is_directory else tarfile.REGTYPE
        header.size = 0 if node.is_directory else node.size
        yield header.tobuf(tarfile.PAX_FORMAT)
        yield from blobs.read(node.pieces or [], chunk=MESSAGE)
        yield bytes(-header.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _batched(parts: Iterator[bytes]) -> Iterator[bytes]:
    buffer = io.BytesIO()
    for part in parts:
        buffer.write(part)
        if buffer.tell() >= MESSAGE:
            yield buffer.getvalue()
            buffer = io.BytesIO()
    yield buffer.getvalue()


def inspect_file(request: pfs.InspectFileRequest, session: Session) -> pfs.FileInfo:
    with session.read() as tx:
        commit = _open(tx, request)
        return wire.file_info(commit, files.inspect(tx, commit, request.file.path or "/") or _missing(request.file))


def _missing(file: pfs.File) -> NoReturn:
    """Raise FileNotFound with path and commit as the caller named them: by a branch, the commit has no id."""
    name = wire.commit_name(file)
    raise FileNotFound(file.path, name.repo, name.id)


def list_file(request: pfs.ListFileRequest, session: Session) -> Iterator[bytes]:
    with session.read() as tx:
        commit = _open(tx, request)
        found = files.list_files(tx, commit, request.file.path or "/")
    yield from wire.file_infos(commit, _page(found, request))


def walk_file(request: pfs.WalkFileRequest, session: Session) -> Iterator[bytes]:
    with session.read() as tx:
        commit = _open(tx, request)
        found = files.walk(tx, commit, request.file.path or "/")
    yield from wire.file_infos(commit, _page(found, request))


def _page(found: list[Node], request: pfs.ListFileRequest | pfs.WalkFileRequest) -> list[Node]:
    marker = request.pagination_marker.path or ""
    return files.page(found, marker=marker, number=request.number, reverse=request.reverse)


def glob_file(request: pfs.GlobFileRequest, session: Session) -> Iterator[bytes]:
    with session.read() as tx:
        commit = trees.readable(tx, wire.commit_name(request))
        found = files.glob(tx, commit, request.pattern)
    yield from wire.file_infos(commit, found)


def diff_file(request: pfs.DiffFileRequest, session: Session) -> Iterator[pfs.DiffFileResponse]:
    with session.read() as tx:
        new = _open(tx, request, "new_file")
        old = commits.get(tx, new.parent) if new.parent is not None else None
        source = request.new_file
        if given(request, "old_file"):
            old, source = _open(tx, request, "old_file"), request.old_file
        pairs = list(
            files.diff(
                tx,
                (new, request.new_file.path or "/"),
                (old, source.path or "/") if old else None,
            )
        )
    for after, before in pairs:
        response = pfs.DiffFileResponse()
        if after:
            response.new_file = wire.file_info(new, after)
        if before and old:
            response.old_file = wire.file_info(old, before)
        yield response


def fsck(_request: pfs.FsckRequest, session: Session) -> Iterator[pfs.FsckResponse]:
    for fault in session.store.fsck():
        yield pfs.FsckResponse(error=fault)
