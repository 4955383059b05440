"""The files of checkpoints: what is deleted is first marked in the database, so a killed master finishes it later.

A checkpoint in state DELETED that still lists resources has files that are to go.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from localcluster.determined import config as configuration
from localcluster.determined.errors import FailedPrecondition, InvalidArgument
from localcluster.determined.state import checkpoints
from localcluster.determined.state.database import Database, Row

EVERYTHING = "**/*"
"""The pattern for which the harness deletes the whole directory, hidden files and all."""


async def delete(db: Database, names: Sequence[str]) -> None:
    """Delete checkpoints; raises NotFound, and InvalidArgument for registered ones, before deleting any."""
    rows = _deletable(db, names)
    checkpoints.mark_deleted(db, names)
    await _purge(db, rows)


async def remove(db: Database, names: Sequence[str], patterns: Sequence[str]) -> None:
    """Delete the files that match glob patterns, and store what is left; no pattern only looks what is there.

    Raises InvalidArgument for a pattern that is empty or contains "..", and as `delete`.
    """
    for pattern in patterns:
        if not pattern:
            raise InvalidArgument("checkpointGlobs: cannot have an empty glob")
        if ".." in pattern:
            raise InvalidArgument(f"checkpointGlobs: glob {pattern!r} cannot contain '..'")
    for row in _deletable(db, names):
        left = await asyncio.to_thread(_remove_matching, directory(row), patterns)
        checkpoints.set_resources(db, row["uuid"], left)


async def finish(db: Database) -> None:
    """Delete the files of all checkpoints that are marked."""
    await _purge(db, checkpoints.marked(db))


def _deletable(db: Database, names: Sequence[str]) -> list[Row]:
    rows = [checkpoints.get(db, name) for name in names]
    checkpoints.require_unregistered(db, names)
    return rows


async def _purge(db: Database, rows: Sequence[Row]) -> None:
    """Delete the checkpoints' files; raises FailedPrecondition once all are gone that can be deleted."""
    failures: list[str] = []
    for row in rows:
        try:
            await asyncio.to_thread(_remove_tree, directory(row))
        except OSError as error:
            failures.append(f"the files of checkpoint {row['uuid']} could not be deleted: {error}")
        else:
            db.update("checkpoints", "uuid", row["uuid"], resources={})
    if failures:
        raise FailedPrecondition("; ".join(failures))


def directory(checkpoint: Row) -> Path:
    """Return where the checkpoint's files lie."""
    return configuration.storage_root(json.loads(checkpoint["config"])) / str(checkpoint["uuid"])


def _remove_tree(root: Path) -> None:
    while root.exists():
        with contextlib.suppress(FileNotFoundError):  # a policy and a user may delete the same files at once
            shutil.rmtree(root)


def _remove_matching(root: Path, patterns: Sequence[str]) -> dict[str, int]:
    """Delete what matches and return the rest as `{path: size}`, directories with a slash at the end and size 0.

    A match that lies outside behind a symbolic link is left alone.
    """
    if not root.is_dir():
        return {}
    if EVERYTHING in patterns:
        _remove_tree(root)
        return {}
    # Unlike pathlib's, this `*` leaves hidden files alone, as the harness's own deletion does.
    names = {name for pattern in patterns for name in glob.iglob(pattern.lstrip("/"), root_dir=root, recursive=True)}  # noqa: PTH207
    matches = [root / name for name in sorted(names) if (root / name).is_dir() or not name.endswith("/")]
    inside = [path for path in matches if path != root and path.parent.resolve().is_relative_to(root.resolve())]
    directories = [path for path in inside if path.is_dir() and not path.is_symlink()]
    for path in inside:
        if path not in directories:
            path.unlink()
    for path in directories:
        shutil.rmtree(path, ignore_errors=True)
    left = {str(path.relative_to(root)): path for path in sorted(root.rglob("*"))}
    if not left:
        root.rmdir()
    return {f"{n}/" if p.is_dir() else n: 0 if p.is_dir() else p.lstat().st_size for n, p in left.items()}
