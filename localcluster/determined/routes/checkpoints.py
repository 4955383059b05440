"""Checkpoints: look, download through the master, annotate, delete."""

from __future__ import annotations

import asyncio
import gzip
import os
import tarfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.responses import Response, StreamingResponse

from localcluster.determined import storage, wire
from localcluster.determined.errors import FailedPrecondition, NotFound
from localcluster.determined.routes.http import Call, field, served
from localcluster.determined.state import checkpoints

_CHUNK = 1 << 16


def get(call: Call) -> dict[str, Any]:
    """v1GetCheckpointResponse."""
    return {"checkpoint": wire.checkpoint(call.db, checkpoints.get(call.db, call.path["uuid"]))}


def download(call: Call) -> Response:
    """A gzipped tar of the checkpoint's files, packed while it is sent."""
    row = checkpoints.get(call.db, call.path["uuid"])
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


def post(call: Call) -> None:
    """A trial has put a checkpoint into the storage."""
    call.field("uuid", str)
    checkpoints.report(call.db, call.allocation, call.body)


def patch(call: Call) -> None:
    """Say which files of checkpoints are left."""
    mine = call.caller.allocation
    with call.db.transaction():
        for change in call.field("checkpoints", list):
            row = checkpoints.get(call.db, field(change, "uuid", str))
            if mine is not None and row["experiment_id"] != mine["experiment_id"]:
                raise NotFound(f"checkpoint {row['uuid']} not found in this experiment")
            checkpoints.require_unregistered(call.db, [row["uuid"]], "patched")
            resources = (change.get("resources") or {}).get("resources")
            if resources is not None:
                checkpoints.set_resources(call.db, row["uuid"], checkpoints.sizes(resources))


def set_metadata(call: Call) -> dict[str, Any]:
    """Replace the checkpoint's metadata."""
    metadata = field(call.field("checkpoint", dict), "metadata", dict)
    call.db.update("checkpoints", "uuid", call.path["uuid"], metadata=metadata)
    return get(call)


ROUTES = served(
    {
        "POST /api/v1/checkpoints": post,
        "PATCH /api/v1/checkpoints": patch,
        "DELETE /api/v1/checkpoints": lambda call: storage.delete(call.db, call.field("checkpointUuids", list)),
        "POST /api/v1/checkpoints/rm": lambda call: storage.remove(
            call.db, call.field("checkpointUuids", list), call.field("checkpointGlobs", list)
        ),
        "GET /api/v1/checkpoints/{uuid}": get,
        "POST /api/v1/checkpoints/{uuid}/metadata": set_metadata,
        "GET /checkpoints/{uuid}": download,
    }
)
