"""Turning a ModifyFile stream into changes while its bytes go to disk, so that nothing large is held in memory."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

import betterproto
from pachyderm_sdk.api import pfs

from localcluster.pachyderm.blobs import Blobs, BlobWriter
from localcluster.pachyderm.errors import InvalidArgument, PachdError, Unimplemented
from localcluster.pachyderm.servicer import wire
from localcluster.pachyderm.state.changes import Append, Change, Copy, Delete
from localcluster.pachyderm.state.names import check_path


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

    def receive(self, requests: Iterable[pfs.ModifyFileRequest]) -> list[Change]:
        """Read the stream to its end; the bytes of all changes returned are on disk.

        Raises PachdError on a path or a message that the upstream refuses, Unimplemented on a URL.
        """
        for request in requests:
            match betterproto.which_one_of(request, "body"):
                case "add_file", add:
                    self._add(add)
                case "delete_file", delete:
                    self._end_file()
                    self._changes.append(Delete(delete.path))
                case "copy_file", copy:
                    self._end_file()
                    check_path(copy.dst.rstrip("/") or "/")
                    source = wire.commit_name(copy.src.commit)
                    self._changes.append(Copy(copy.dst, source, copy.src.path or "/", copy.append))
                case "set_commit", _:
                    raise PachdError("cannot set commit: only the first message of a ModifyFile stream may")
                case _:
                    raise InvalidArgument("a ModifyFile message has no body")
        self._end_file()
        self._blobs.sync(change.blob for change in self._changes if isinstance(change, Append))
        return self._changes

    def _add(self, add: pfs.AddFile) -> None:
        kind, data = betterproto.which_one_of(add, "source")
        if kind == "url":
            raise Unimplemented(
                "pfs_v2.API/ModifyFile: putting a file from a URL is not served by this pachd;"
                " download it and put the file"
            )
        if self._writer is None or add.path != self._path:
            self._end_file()
            check_path(add.path)
            self._writer, self._path = self._blobs.writer(), add.path
        self._writer.write(data or b"")

    def _end_file(self) -> None:
        if self._writer:
            self._changes.append(Append(self._path, self._writer.store()))
            self._writer = None
