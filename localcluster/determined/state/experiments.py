"""Experiments: what was submitted, and the states they go through.

ACTIVE <-> PAUSED; either -> STOPPING_{COMPLETED, CANCELED, KILLED, ERROR}, which may only get worse, in this order;
STOPPING_x ends in COMPLETED, CANCELED, CANCELED or ERROR once every trial has ended.  What has ended may be continued
(PAUSED again) or deleted: DELETING, then gone, or DELETE_FAILED.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import tarfile
import uuid
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from localcluster.determined.errors import FailedPrecondition, InvalidArgument, NotFound
from localcluster.determined.state.database import Database, Row, now

TERMINAL = ("COMPLETED", "CANCELED", "ERROR", "DELETE_FAILED")
DELETING = "DELETING"
STOPPING = {
    "STOPPING_COMPLETED": "COMPLETED",
    "STOPPING_CANCELED": "CANCELED",
    "STOPPING_KILLED": "CANCELED",
    "STOPPING_ERROR": "ERROR",
}
"""Where each stopping state ends."""

SORTS = {
    "SORT_BY_START_TIME": "start_time",
    "SORT_BY_END_TIME": "end_time",
    "SORT_BY_STATE": "state",
    "SORT_BY_NAME": "name",
    "SORT_BY_PROGRESS": "progress",
    "SORT_BY_USER": "username",
}
_DIRECTORY, _FILE = ord("5"), ord("0")
_COLUMNS = """
  experiments.*, users.username, users.display_name,
  (SELECT count(*) FROM trials WHERE experiment_id = experiments.id) AS trials,
  (SELECT count(*) FROM checkpoints JOIN trials ON trials.id = trial_id
     WHERE experiment_id = experiments.id AND checkpoints.state = 'COMPLETED') AS checkpoints,
  (SELECT max(allocations.state) FROM allocations JOIN trials ON trials.id = trial_id
     WHERE experiment_id = experiments.id AND allocations.state != 'TERMINATED') AS allocated
"""


def create(
    db: Database,
    *,
    config: dict[str, Any],
    original: str,
    model_definition: bytes,
    user_id: int,
    parent_id: int | None,
) -> int:
    """Store a new, paused experiment, whose search has not begun, and return its id."""
    experiment_id = db.insert(
        "experiments",
        state="PAUSED",
        name=config["name"],
        description=config.get("description"),
        labels=config["labels"],
        config=config,
        original_config=original,
        user_id=user_id,
        job_id=str(uuid.uuid4()),
        parent_id=parent_id,
        start_time=now(),
    )
    db.insert("model_definitions", experiment_id=experiment_id, archive=model_definition)
    return experiment_id


def definition(db: Database, experiment_id: int) -> bytes:
    """Return the gzipped tar of the files that were submitted; raises NotFound."""
    found = db.row("SELECT archive FROM model_definitions WHERE experiment_id = ?", experiment_id)
    if found is None:
        raise NotFound(f"experiment {experiment_id} not found")
    return bytes(found["archive"])


def get(db: Database, experiment_id: int) -> Row:
    """Return an experiment with its counts; raises NotFound."""
    found = db.row(
        f"SELECT {_COLUMNS} FROM experiments JOIN users ON users.id = user_id WHERE experiments.id = ?",  # noqa: S608
        experiment_id,
    )
    if found is None:
        raise NotFound(f"experiment {experiment_id} not found")
    return found


def find(
    db: Database,
    *,
    archived: bool | None = None,
    users: Sequence[str] = (),
    labels: Sequence[str] = (),
    name: str = "",
    sort: str = "",
    descending: bool = False,
) -> list[Row]:
    """Return the experiments that match, by id unless `sort` (a key of SORTS) says otherwise."""
    conditions, values = ["1"], list[Any]()
    if archived is not None:
        conditions.append("archived = ?")
        values.append(archived)
    if users:
        conditions.append(f"username IN ({', '.join('?' * len(users))})")
        values += users
    if name:
        conditions.append("instr(lower(name), lower(?))")
        values.append(name)
    for label in labels:
        conditions.append("EXISTS (SELECT 1 FROM json_each(labels) WHERE value = ?)")
        values.append(label)
    order = f"{SORTS.get(sort, 'experiments.id')} {'DESC' if descending else 'ASC'}, experiments.id"
    return db.rows(
        f"SELECT {_COLUMNS} FROM experiments JOIN users ON users.id = user_id"  # noqa: S608
        f" WHERE {' AND '.join(conditions)} ORDER BY {order}",
        *values,
    )


def unfinished(db: Database) -> list[int]:
    """Return the ids of the experiments that run, wait, are paused or stop."""
    states = ("ACTIVE", "PAUSED", *STOPPING)
    marks = ", ".join("?" * len(states))
    return [row[0] for row in db.rows(f"SELECT id FROM experiments WHERE state IN ({marks})", *states)]  # noqa: S608


def deleting(db: Database) -> list[int]:
    """Return the ids of the experiments that are being deleted."""
    return [row[0] for row in db.rows("SELECT id FROM experiments WHERE state = ?", DELETING)]


def set_state(db: Database, experiment_id: int, state: str) -> None:
    """Move to `state`; raises FailedPrecondition where the rules do not allow it."""
    current: str = get(db, experiment_id)["state"]
    if state == current:
        return
    if current in TERMINAL:
        raise FailedPrecondition(f"experiment {experiment_id} is in terminal state {current}")
    if current == DELETING or (current in STOPPING and not _escalates(current, state)):
        raise FailedPrecondition(f"experiment {experiment_id} is in incompatible state {current}")
    if state in TERMINAL:
        done = {"progress": 1.0} if state == "COMPLETED" else {}
        db.update("experiments", "id", experiment_id, state=state, end_time=now(), **done)
    else:
        db.update("experiments", "id", experiment_id, state=state)


def reopen(db: Database, experiment_id: int, config: dict[str, Any]) -> None:
    """Make an experiment that has ended a paused one with a configuration that may differ."""
    columns = {"name": config["name"], "description": config.get("description"), "labels": config["labels"]}
    db.update("experiments", "id", experiment_id, state="PAUSED", config=config, progress=0.0, end_time=None, **columns)


def model_definition(files: Sequence[dict[str, Any]]) -> bytes:
    """Pack the uploaded files as the gzipped tar that trials unpack and users download.

    `files` are v1File objects: path, type (tar type flag's ordinal), content (base64), mode, mtime.  Raises
    InvalidArgument for a path that would leave the trial's directory.
    """
    archive = io.BytesIO()
    with gzip.GzipFile(fileobj=archive, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for file in files:
            path = PurePosixPath(file["path"])
            if path.is_absolute() or ".." in path.parts:
                raise InvalidArgument(f"modelDefinition: the path {str(path)!r} leaves the model directory")
            entry = tarfile.TarInfo(str(path))
            entry.mode = int(file.get("mode") or 0) & 0o777 or 0o644
            entry.mtime = int(file.get("mtime") or 0)
            if file.get("type") == _DIRECTORY:
                entry.type, entry.mode = tarfile.DIRTYPE, entry.mode | 0o700
                tar.addfile(entry)
                continue
            if file.get("type", _FILE) != _FILE:
                raise InvalidArgument(f"modelDefinition: {str(path)!r} is neither a file nor a directory")
            try:
                content = base64.b64decode(file.get("content") or "", validate=True)
            except binascii.Error as error:
                raise InvalidArgument(f"modelDefinition: the content of {str(path)!r} is not base64") from error
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def patch(db: Database, experiment_id: int, changes: dict[str, Any]) -> None:
    """Set name, description, labels, notes where they are not None; raises NotFound, InvalidArgument."""
    config = json.loads(get(db, experiment_id)["config"])
    columns = {key: changes[key] for key in ("name", "description", "notes") if changes.get(key) is not None}
    if not columns.get("name", "a name").strip():
        raise InvalidArgument("name: must not be empty or blank")
    if changes.get("labels") is not None:
        columns["labels"] = sorted(set(changes["labels"]))
    config |= {key: value for key, value in columns.items() if key != "notes"}
    db.update("experiments", "id", experiment_id, **columns, config=config)


def set_archived(db: Database, experiment_id: int, archived: bool) -> None:
    """Hide or show in lists; raises FailedPrecondition while the experiment runs, or where it is so already."""
    found = get(db, experiment_id)
    if found["state"] not in TERMINAL:
        raise FailedPrecondition(f"experiment {experiment_id} is not in terminal state but {found['state']}")
    if bool(found["archived"]) == archived:
        raise FailedPrecondition(f"experiment {experiment_id} is {'already' if archived else 'not'} archived")
    db.update("experiments", "id", experiment_id, archived=archived)


def _escalates(current: str, state: str) -> bool:
    order = ["STOPPING_COMPLETED", "STOPPING_CANCELED", "STOPPING_KILLED", "STOPPING_ERROR"]
    return state == STOPPING[current] or (state in order and order.index(state) > order.index(current))
