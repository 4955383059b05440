"""What a pipeline's meta repo holds: `/meta/<datum id>/meta` for each datum, in the JSON form of upstream's datum.Meta.

Upstream keeps copies of the datums' inputs and outputs there as well; here they are where they were read and written.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from localcluster.pachyderm.names import RepoName
from localcluster.pachyderm.specs.spec import Pfs
from localcluster.pachyderm.state.commits import Commit
from localcluster.pachyderm.state.datums import Datum, DatumInput, DatumState
from localcluster.pachyderm.state.jobs import Job

_STATES = {DatumState.FAILED: "FAILED", DatumState.RECOVERED: "RECOVERED"}


def path(datum_id: str) -> str:
    """Where the record of a datum lies."""
    return f"/meta/{datum_id}/meta"


def record(job: Job, datum: Datum, sources: list[tuple[Pfs, Commit]], image: str) -> bytes:
    """The record of a datum that has been worked on; `sources` are its inputs' definitions and commits."""
    stats = datum.stats
    document: dict[str, Any] = {
        "job": {"pipeline": {"project": {"name": job.project}, "name": job.name}, "id": job.id},
        "inputs": [_input(file, *source) for file, source in zip(datum.inputs, sources, strict=True)],
        "hash": datum.hash.hex(),
        "state": _STATES.get(datum.state, "PROCESSED"),
        "stats": {
            "downloadTime": f"{stats.download_time / 1e6:.6f}s",
            "processTime": f"{stats.process_time / 1e6:.6f}s",
            "uploadTime": f"{stats.upload_time / 1e6:.6f}s",
            "downloadBytes": str(stats.download_bytes),
            "uploadBytes": str(stats.upload_bytes),
        },
        "index": str(datum.place),
        "imageId": image,
    }
    return json.dumps(document).encode()


def _input(file: DatumInput, source: Pfs, commit: Commit) -> dict[str, Any]:
    return {
        "fileInfo": {
            "file": {"commit": {"repo": _repo(source.repo), "id": commit.id}, "path": file.path},
            "fileType": "DIR" if file.is_directory else "FILE",
            "sizeBytes": str(file.size),
            "hash": base64.b64encode(bytes.fromhex(file.hash)).decode(),
        },
        "name": source.name,
        "branch": source.branch,
        "lazy": source.lazy,
        "emptyFiles": source.empty_files,
    }


def _repo(repo: RepoName) -> dict[str, Any]:
    return {"name": repo.name, "type": repo.type, "project": {"name": repo.project}}
