"""Where the training data come from: one pinned Pachyderm commit, or a folder when run by hand off the cluster.

A reference `[project/]repo@branch` means the branch's head at the moment the experiment was created, so that every
trial and every resume of an experiment reads the same commit, whatever has been committed since.  Only the output of a
validation that passed is read: reading a failed pipeline commit would show the files of its last good ancestor.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import grpc
from errors import CommitRefused, ConfigError
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

IMAGES = "images.npy"
LABELS = "labels.npy"
REPORT = "report.json"
FILES = (IMAGES, LABELS)

_REFERENCE = re.compile(r"(?:(?P<project>[\w-]+)/)?(?P<repo>[\w-]+)@(?P<ref>[\w-]+)")
VALIDATION_TIME = 600
"""Seconds that a validation still running when the experiment was created may take."""

log = logging.getLogger("train")

_COMMIT_ID = re.compile(r"[0-9a-f]{12}4[0-9a-f]{19}")


@dataclass(frozen=True)
class PinnedCommit:
    """The commit that a reference stood for; `branch` is None where the reference named a commit."""

    project: str
    repo: str
    branch: str | None
    commit: str

    def provenance(self) -> dict[str, str | None]:
        """The form in which checkpoints carry it."""
        repo = self.repo if self.project == "default" else f"{self.project}/{self.repo}"
        return {"repo": repo, "branch": self.branch, "commit": self.commit}


def connect() -> Client:
    """A client of the pachd that PACH_CONFIG names, else of the one in the same cluster.  Raises ConfigError."""
    if path := os.environ.get("PACH_CONFIG"):
        return Client.from_config(path)
    if "PACHD_PEER_SERVICE_HOST" in os.environ:
        return Client.new_in_cluster()
    raise ConfigError("no Pachyderm: set PACH_CONFIG, or train on a folder (python train.py --data FOLDER)")


def pin(client: Client, reference: str, moment: datetime) -> PinnedCommit:
    """The commit that `reference` stood for at `moment` (aware).

    A pipeline's output commit counts from its start, and is waited for.  Raises ConfigError for a reference of another
    form; CommitRefused if there was no commit, or if it failed or is not a validated split.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ConfigError(f"data reference {reference!r} is not of the form [project/]repo@branch or …@commit")
    project, repo, ref = match["project"] or "default", match["repo"], match["ref"]
    by_id = _COMMIT_ID.fullmatch(ref) is not None
    try:
        info = client.pfs.inspect_commit(commit=pfs.Commit.from_uri(f"{project}/{repo}@{ref}"))
        while not by_id and not _counts(info, moment):
            if info.parent_commit is None or not info.parent_commit.id:
                raise CommitRefused(
                    f"{reference} had no finished commit when the experiment was created ({moment.isoformat()}): "
                    "put the data into the repo (make data), then create the experiment again"
                )
            info = client.pfs.inspect_commit(commit=info.parent_commit)
        if _computed(info) and not _seconds(info.finished):
            info = _finished(client, info)
        pinned = PinnedCommit(project, repo, None if by_id else ref, info.commit.id)
        _refuse_unusable(client, pinned, info)
    except grpc.RpcError as error:
        raise CommitRefused(f"{reference}: Pachyderm says: {error.details()}") from error
    return pinned


def fetch(client: Client, pinned: PinnedCommit) -> dict[str, bytes]:
    """The files of `pinned` by name, from the cache where this machine read them before."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fashion-classifier"
    # The commits of one commit set share their id.
    cache = root / pinned.project / pinned.repo / pinned.commit
    contents = {}
    for name in FILES:
        file = pfs.File.from_uri(f"{pinned.project}/{pinned.repo}@{pinned.commit}:/{name}")
        try:
            size = client.pfs.inspect_file(file=file).size_bytes
            contents[name] = _cached(cache / name, size) or _download(client, file, cache / name)
        except (grpc.RpcError, ConnectionError, ValueError) as error:
            raise CommitRefused(f"{pinned.repo}@{pinned.commit}: cannot read {name}: {error}") from error
    return contents


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of `folder` by name.  Raises ConfigError naming the one that is missing."""
    try:
        return {name: (folder / name).read_bytes() for name in FILES}
    except OSError as error:
        raise ConfigError(f"no training data: {error}; name a folder that holds {' and '.join(FILES)}") from error


def _counts(info: pfs.CommitInfo, moment: datetime) -> bool:
    """Whether the commit was there at `moment`: started, where it is computed, else finished."""
    return 0 < _seconds(info.started if _computed(info) else info.finished) <= moment.timestamp()


def _computed(info: pfs.CommitInfo) -> bool:
    return bool(info.origin.kind == pfs.OriginKind.AUTO)


def _seconds(moment: datetime | None) -> float:
    """Unix seconds; 0 for what has not come, as an absent protobuf timestamp reads as the epoch."""
    return moment.timestamp() if moment else 0.0


def _finished(client: Client, info: pfs.CommitInfo) -> pfs.CommitInfo:
    """The computed commit once it is finished.  Raises CommitRefused after VALIDATION_TIME."""
    name = f"{info.commit.repo.name}@{info.commit.id}"
    log.info("waiting for the pipeline that computes %s", name)
    deadline = time.monotonic() + VALIDATION_TIME
    while not _seconds(info.finished):
        if time.monotonic() > deadline:
            raise CommitRefused(
                f"commit {name} was not finished after {VALIDATION_TIME} s: `pachctl list job` says more"
            )
        time.sleep(0.5)
        info = client.pfs.inspect_commit(commit=info.commit)
    return info


def _refuse_unusable(client: Client, pinned: PinnedCommit, info: pfs.CommitInfo) -> None:
    name = f"{pinned.repo}@{pinned.commit}"
    if not _seconds(info.finished):
        raise CommitRefused(f"commit {name} is not finished: finish it, then create the experiment again")
    if info.error:
        raise CommitRefused(
            f"commit {name} failed: {info.error}; `pachctl inspect job {pinned.repo}@{pinned.commit}` says why: "
            "repair the data, or name an earlier commit"
        )
    root = pfs.File.from_uri(f"{pinned.project}/{pinned.repo}@{pinned.commit}:/")
    present = {entry.file.path.lstrip("/") for entry in client.pfs.list_file(file=root)}
    if missing := [file for file in (*FILES, REPORT) if file not in present]:
        held = ", ".join(sorted(present)) or "nothing"
        raise CommitRefused(
            f"commit {name} is not a validated split: it lacks {' and '.join(missing)} (it holds {held}); "
            "run make data, and name the output of the pipeline"
        )
    report = pfs.File.from_uri(f"{pinned.project}/{pinned.repo}@{pinned.commit}:/{REPORT}")
    with client.pfs.pfs_file(file=report) as stream:
        verdict = json.loads(stream.read()).get("verdict")
    if verdict != "passed":
        raise CommitRefused(f"commit {name}: the verdict of its validation is {verdict!r}, not 'passed'")


def _cached(path: Path, size: int) -> bytes | None:
    if path.is_file() and path.stat().st_size == size:
        return path.read_bytes()
    return None


def _download(client: Client, file: pfs.File, path: Path) -> bytes:
    with client.pfs.pfs_file(file=file) as stream:
        content: bytes = stream.read()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as temporary:
            temporary.write(content)
        # Trials of a search read at the same time: a rename shows each the whole file or none.
        Path(temporary.name).replace(path)
    except OSError:
        return content  # A cache that cannot be written only costs the next trial its download.
    return content
