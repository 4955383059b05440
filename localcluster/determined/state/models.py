"""The model registry: models by name or id, and their numbered versions, each a complete checkpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from localcluster.determined.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from localcluster.determined.state import checkpoints
from localcluster.determined.state.database import Database, Row, now, order_by

_SORTS = {f"SORT_BY_{name.upper()}": name for name in ("description", "creation_time", "last_updated_time")}
_SORTS |= {"SORT_BY_NAME": "name COLLATE NOCASE", "SORT_BY_NUM_VERSIONS": "count", "SORT_BY_WORKSPACE": "NULL"}
_SORTS |= dict.fromkeys(("", "SORT_BY_UNSPECIFIED"), "models.id")
WORKSPACE = "Uncategorized"
_NUMBER = re.compile("[0-9]+")
_MODEL_FIELDS = ("description", "notes", "metadata", "labels")
_VERSION_FIELDS = ("name", "comment", "notes", "metadata", "labels")
_MODEL = """SELECT models.*, users.username,
  (SELECT count(*) FROM model_versions WHERE model_id = models.id) AS count
  FROM models JOIN users ON users.id = user_id"""
_VERSION = "SELECT model_versions.*, users.username FROM model_versions JOIN users ON users.id = user_id"


def create(db: Database, user_id: int, fields: dict[str, Any]) -> Row:
    """Add a model; raises InvalidArgument for an unusable name, AlreadyExists for one that is taken."""
    _check_name(db, fields["name"])
    _check_workspace(fields)
    time = now()
    columns = {"description": "", "notes": "", "metadata": {}, "labels": []} | _given(fields, _MODEL_FIELDS)
    times = {"creation_time": time, "last_updated_time": time}
    return get(db, str(db.insert("models", name=fields["name"], user_id=user_id, **times, **columns)))


def get(db: Database, key: str) -> Row:
    """Find a model by name or numeric id; raises NotFound."""
    column = "models.id" if _NUMBER.fullmatch(key) else "name"
    return db.one(f"model {json.dumps(key, ensure_ascii=False)}", f"{_MODEL} WHERE {column} = ?", key)


def find(
    db: Database,
    *,
    name: str = "",
    description: str = "",
    labels: Sequence[str] = (),
    archived: bool | None = None,
    users: Sequence[str] = (),
    sort: str = "",
    descending: bool = False,
) -> list[Row]:
    """Return the models that match (substrings without regard to case, any of the labels), sorted by `SORT_BY_…`."""
    order = "DESC" if descending else "ASC"
    rows = db.rows(f"{_MODEL} ORDER BY {order_by(_SORTS, sort)} {order}, models.id {order}")
    return [
        row
        for row in rows
        if name.lower() in row["name"].lower()
        and description.lower() in row["description"].lower()
        and (archived is None or bool(row["archived"]) == archived)
        and (not users or row["username"] in users)
        and (not labels or set(labels) & set(json.loads(row["labels"])))
    ]


def change(db: Database, key: str, changes: dict[str, Any]) -> Row:
    """Replace the given ones of name, description, notes, metadata, labels; raises as `create` does."""
    model = get(db, key)
    if model["archived"]:
        raise FailedPrecondition(f"model {model['name']!r} is archived and cannot be changed; unarchive it first")
    columns = _given(changes, ("name", *_MODEL_FIELDS))
    if columns.get("name", model["name"]) != model["name"]:
        _check_name(db, columns["name"])
    _check_workspace(changes)
    db.update("models", "id", model["id"], **columns, last_updated_time=now())
    return get(db, str(model["id"]))


def set_archived(db: Database, key: str, archived: bool) -> None:
    """Archive or unarchive a model."""
    db.update("models", "id", get(db, key)["id"], archived=archived, last_updated_time=now())


def delete(db: Database, key: str) -> None:
    """Delete a model and its versions; the checkpoints stay."""
    db.execute("DELETE FROM models WHERE id = ?", get(db, key)["id"])


def register(db: Database, key: str, user_id: int, fields: dict[str, Any]) -> Row:
    """Add the next version; raises FailedPrecondition unless the checkpoint is complete and the model not archived."""
    model = get(db, key)
    if model["archived"]:
        raise FailedPrecondition(f"model {model['name']!r} is archived and takes no versions; unarchive it first")
    checkpoint = checkpoints.get(db, fields["checkpointUuid"])
    if checkpoint["state"] != "COMPLETED":
        raise FailedPrecondition(
            f"checkpoint {checkpoint['uuid']} is {checkpoint['state']}; only a COMPLETED one can be registered"
        )
    time = now()
    columns = {"name": "", "comment": "", "notes": "", "metadata": {}, "labels": []} | _given(fields, _VERSION_FIELDS)
    number = (db.value("SELECT max(version) FROM model_versions WHERE model_id = ?", model["id"]) or 0) + 1
    columns |= {"model_id": model["id"], "version": number, "checkpoint_uuid": checkpoint["uuid"]}
    db.insert("model_versions", user_id=user_id, creation_time=time, last_updated_time=time, **columns)
    return version(db, key, number)


def versions(db: Database, key: str, *, descending: bool = False) -> list[Row]:
    """Return a model's versions by number."""
    order = "DESC" if descending else "ASC"
    return db.rows(f"{_VERSION} WHERE model_id = ? ORDER BY version {order}", get(db, key)["id"])


def version(db: Database, key: str, number: int) -> Row:
    """Return one version; raises NotFound."""
    model = get(db, key)
    select = f"{_VERSION} WHERE model_id = ? AND version = ?"
    return db.one(f'version {number} for model "{model["name"]}"', select, model["id"], number)


def change_version(db: Database, key: str, number: int, changes: dict[str, Any]) -> Row:
    """Replace the given ones of name, comment, notes, metadata, labels."""
    found = version(db, key, number)
    columns = _given(changes, _VERSION_FIELDS)
    db.update("model_versions", "id", found["id"], **columns, last_updated_time=now())
    return version(db, key, number)


def delete_version(db: Database, key: str, number: int) -> None:
    """Delete one version; as upstream, the newest one's number is given again."""
    db.execute("DELETE FROM model_versions WHERE id = ?", version(db, key, number)["id"])


def _given(fields: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the fields that are neither absent nor null."""
    columns = {name: fields[name] for name in names if fields.get(name) is not None}
    if "labels" in columns:
        columns["labels"] = list(dict.fromkeys(columns["labels"]))
    return columns


def _check_workspace(fields: dict[str, Any]) -> None:
    if fields.get("workspaceName") not in (None, WORKSPACE):
        raise NotFound(f"workspace '{fields['workspaceName']}' not found: the only one here is {WORKSPACE}")


def _check_name(db: Database, name: str) -> None:
    if not name.strip(" "):
        raise InvalidArgument("name: a model's name must not be blank")
    if "/" in name or "\\" in name:
        raise InvalidArgument(f"name: {name!r} must not contain a slash")
    if "  " in name:
        raise InvalidArgument(f"name: {name!r} must not contain two spaces in a row")
    if _NUMBER.fullmatch(name):
        raise InvalidArgument(f"name: {name!r} must not be only a number, numbers are ids")
    if db.row("SELECT 1 FROM models WHERE name = ?", name):
        raise AlreadyExists(f"a model named {name!r} already exists; names of models are unique (case-sensitive)")
