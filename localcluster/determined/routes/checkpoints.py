"""Checkpoints: look, download through the master, annotate, delete."""

from __future__ import annotations

import asyncio
import gzip
import os
import tarfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from localcluster.determined import storage, wire
from localcluster.determined.errors import FailedPrecondition, NotFound
from localcluster.determined.routes.http import allocation, answer, body, caller, field, master
from localcluster.determined.state import checkpoints

_CHUNK = 1 << 16


async def get(request: Request) -> Response:
    """v1GetCheckpointResponse."""
    db = master(request).db
    return answer({"checkpoint": wire.checkpoint(db, checkpoints.get(db, request.path_params["uuid"]))})


async def download(request: Request) -> Response:
    """A gzipped tar of the checkpoint's files, packed while it is sent."""
    row = checkpoints.get(master(request).db, request.path_params["uuid"])
    if row["state"] not in ("COMPLETED", "PARTIALLY_DELETED"):
        raise FailedPrecondition(f"checkpoint {row['uuid']} is {row['state']} and has no files to download")
    directory = storage.directory(row)
    if not directory.is_dir():
        raise NotFound(f"the files of checkpoint {row['uuid']} are missing: {directory} does not exist")
    name = f'attachment; filename="{row["uuid"]}.tar.gz"'
    return StreamingResponse(_archive(directory), media_type="application/gzip", headers={"Content-Disposition": name})


async def _archive(directory: Path) -> AsyncIterator[bytes]:
    """Pack in a thread, through a pipe; a failure breaks the response off, so nobody takes a torso for the whole."""
    reading, writing = os.pipe()
    failures: list[OSError] = []

    def pack() -> None:
        try:
            with (
                os.fdopen(writing, "wb") as stream,
                gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as zipped,
                tarfile.open(fileobj=zipped, mode="w|") as tar,
            ):
                for path in sorted(directory.rglob("*")):
                    tar.add(path, str(path.relative_to(directory)), recursive=False)
        except OSError as error:
            failures.append(error)

    packer = threading.Thread(target=pack, daemon=True)
    packer.start()
    with os.fdopen(reading, "rb", buffering=0) as stream:
        while data := await asyncio.to_thread(stream.read, _CHUNK):
            yield data
    packer.join()
    if failures:
        raise failures[0]


async def post(request: Request) -> Response:
    """A trial has put a checkpoint into the storage."""
    values = await body(request)
    field(values, "uuid", str)
    checkpoints.report(master(request).db, allocation(request), values)
    return answer()


async def patch(request: Request) -> Response:
    """Say which files of checkpoints are left."""
    db = master(request).db
    mine = caller(request).allocation
    changes = field(await body(request), "checkpoints", list)
    with db.transaction():
        for change in changes:
            row = checkpoints.get(db, field(change, "uuid", str))
            if mine is not None and row["experiment_id"] != mine["experiment_id"]:
                raise NotFound(f"checkpoint {row['uuid']} not found in this experiment")
            checkpoints.require_unregistered(db, [row["uuid"]], "patched")
            resources = (change.get("resources") or {}).get("resources")
            if resources is not None:
                checkpoints.set_resources(db, row["uuid"], {path: int(size) for path, size in resources.items()})
    return answer()


async def delete(request: Request) -> Response:
    """v1DeleteCheckpointsRequest."""
    await master(request).storage.delete(field(await body(request), "checkpointUuids", list))
    return answer()


async def remove_files(request: Request) -> Response:
    """v1CheckpointsRemoveFilesRequest; no glob only looks what files are there."""
    values = await body(request)
    names, patterns = field(values, "checkpointUuids", list), field(values, "checkpointGlobs", list)
    await master(request).storage.remove(names, patterns)
    return answer()


async def set_metadata(request: Request) -> Response:
    """Replace the checkpoint's metadata."""
    db = master(request).db
    given = field(await body(request), "checkpoint", dict)
    with db.transaction():
        checkpoints.replace_metadata(db, request.path_params["uuid"], field(given, "metadata", dict))
    return answer({"checkpoint": wire.checkpoint(db, checkpoints.get(db, request.path_params["uuid"]))})


ROUTES = [
    Route("/api/v1/checkpoints", post, methods=["POST"]),
    Route("/api/v1/checkpoints", patch, methods=["PATCH"]),
    Route("/api/v1/checkpoints", delete, methods=["DELETE"]),
    Route("/api/v1/checkpoints/rm", remove_files, methods=["POST"]),
    Route("/api/v1/checkpoints/{uuid}", get),
    Route("/api/v1/checkpoints/{uuid}/metadata", set_metadata, methods=["POST"]),
    Route("/checkpoints/{uuid}", download),
]
