"""Turning a ModifyFile stream into changes while its bytes go to disk, so that nothing large is held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from http.client import HTTPException
from types import TracebackType
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import betterproto
from pachyderm_sdk.api import pfs

from localcluster.pachyderm.blobs import CHUNK, Blobs, BlobWriter
from localcluster.pachyderm.errors import PachdError, Unimplemented
from localcluster.pachyderm.names import check_file, check_path
from localcluster.pachyderm.servicer import validation, wire
from localcluster.pachyderm.servicer.content import Content
from localcluster.pachyderm.state.changes import Append, Change, Copy, Delete

SILENCE = 60.0
"""Seconds that a web server may send nothing."""


class Upload:
    """The changes of one stream so far; leaving the `with` block drops bytes that no finished blob holds."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._changes: list[Change] = []
        self._writer: BlobWriter | None = None
        self._path = ""

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer:
            self._writer.abandon()

    def receive(self, requests: Iterable[Content | pfs.ModifyFileRequest]) -> list[Change]:
        """Read the stream to its end; the bytes of all changes returned are on disk.

        Raises PachdError on a path, a message or a URL that the upstream refuses, Unimplemented on URLs of other kinds.
        """
        for request in requests:
            if isinstance(request, Content):
                self._add(request.path, request.data)
                continue
            match betterproto.which_one_of(request, "body"):
                case "add_file", add:
                    self._add(add.path, add.raw or b"")
                    if betterproto.which_one_of(add, "source")[0] == "url":
                        for data in _download(add.url.url):
                            self._add(add.path, data)
                case "delete_file", delete:
                    self._end_file()
                    check_path(delete.path)
                    self._changes.append(Delete(delete.path))
                case "copy_file", copy:
                    self._end_file()
                    validation.check(request, "validate recv")
                    check_file(copy.dst)
                    source = wire.commit_name(copy.src, missing=wire.NO_COMMIT)
                    self._changes.append(Copy(copy.dst, source, copy.src.path or "/", copy.append))
                case "set_commit", _:
                    raise PachdError("cannot set commit")
                case _:
                    raise PachdError("unrecognized message type")
        self._end_file()
        self._blobs.sync(change.blob for change in self._changes if isinstance(change, Append))
        return self._changes

    def _add(self, path: str, data: bytes | memoryview) -> None:
        if self._writer is None or path != self._path:
            self._end_file()
            check_file(path)
            self._writer, self._path = self._blobs.writer(), path
        self._writer.write(data)

    def _end_file(self) -> None:
        if self._writer:
            self._changes.append(Append(self._path, self._writer.store()))
            self._writer = None


def _download(url: str) -> Iterator[bytes]:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise PachdError(f'parse "{url}": {error}') from None
    if parts.scheme not in ("http", "https"):
        raise Unimplemented(
            f"pfs_v2.API/ModifyFile: putting a file from {url!r} is not served by this pachd, only from http and https;"
            " download it and put the file"
        )
    try:
        with urlopen(url, timeout=SILENCE) as response:  # noqa: S310
            while data := response.read(CHUNK):
                yield data
            if response.length:
                raise PachdError(f'Get "{url}": unexpected EOF, {response.length} bytes are missing')
    except HTTPError as error:
        raise PachdError(f'error retrieving content from "{url}": {error.code} {error.reason}') from None
    except (OSError, HTTPException) as error:
        raise PachdError(f'Get "{url}": {getattr(error, "reason", error)}') from None
