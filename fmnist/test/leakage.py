"""Which test images the model has nearly seen in training, by the index that the pipeline fmnist-leakage makes.

An index counts for a model only if it was computed from the very commits that the model was trained and is tested on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from pipelines import near_duplicates
from pipelines.errors import InputRefused

REPO = "fmnist-leakage"


@dataclass(frozen=True)
class Leakage:
    """Positions of test images with a near-duplicate in train; None where that is unknown, and `reason` says why."""

    positions: tuple[int, ...] | None
    commit: str | None = None
    reason: str = ""


def find(client: Client, train: Mapping[str, str | None], test_commit: str) -> Leakage:
    """The near-duplicates between the train commit of a model's provenance and a commit of the test split."""
    if not train.get("commit"):
        return Leakage(None, reason="the model was not trained on a commit")
    wanted = {train["commit"], test_commit}
    try:
        # Computed again, or being so, the newest says nothing yet; one before it says the same.
        found = [
            _read(client, info)
            for info in client.pfs.list_commit(repo=pfs.Repo(name=REPO))
            if wanted <= {source.id for source in info.direct_provenance}
        ]
    except (grpc.RpcError, ValueError, InputRefused) as error:
        words = str(error.details() if isinstance(error, grpc.Call) else error)
        return Leakage(None, reason=f"{REPO} cannot be read: {' '.join(words.split())}")
    reason = f"{REPO} has no commit computed from {train['repo']}@{train['commit']} and this test split"
    return next(
        (each for each in found if each.positions is not None), found[0] if found else Leakage(None, reason=reason)
    )


def _read(client: Client, info: pfs.CommitInfo) -> Leakage:
    commit = info.commit.id
    if not info.finished or info.finished.timestamp() == 0:
        return Leakage(None, commit, f"{REPO}@{commit} is still being computed")
    if info.error:
        return Leakage(None, commit, f"{REPO}@{commit} failed: {info.error}")
    with client.pfs.pfs_file(file=pfs.File.from_uri(f"{REPO}@{commit}:/{near_duplicates.NAME}")) as stream:
        return Leakage(near_duplicates.read(stream.read()).positions, commit)
