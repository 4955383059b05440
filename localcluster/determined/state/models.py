"""The model registry: models by name or id, and their numbered versions, each a complete checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from localcluster.determined.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from localcluster.determined.state import checkpoints
from localcluster.determined.state.database import Database, Row, now

SORTS = {
    "SORT_BY_NAME": "name COLLATE NOCASE",
    "SORT_BY_DESCRIPTION": "description",
    "SORT_BY_CREATION_TIME": "creation_time",
    "SORT_BY_LAST_UPDATED_TIME": "last_updated_time",
    "SORT_BY_NUM_VERSIONS": "count",
}
_MODEL = """SELECT models.*, users.username,
  (SELECT count(*) FROM model_versions WHERE model_id = models.id) AS count
  FROM models JOIN users ON users.id = user_id"""
_VERSION = "SELECT model_versions.*, users.username FROM model_versions JOIN users ON users.id = user_id"


def create(db: Database, user_id: int, fields: dict[str, Any]) -> Row:
    """Add a model; raises InvalidArgument for an unusable name, AlreadyExists for one that differs only in case."""
    name = fields["name"]
    _check_name(db, name)
    time = now()
    with db.transaction():
        db.insert(
            "models",
            name=name,
            description=fields.get("description") or "",
            notes=fields.get("notes") or "",
            metadata=fields.get("metadata") or {},
            labels=_labels(fields.get("labels")),
            user_id=user_id,
            creation_time=time,
            last_updated_time=time,
        )
    return get(db, name)


def get(db: Database, key: str) -> Row:
    """Find a model by name or numeric id; raises NotFound."""
    column = "models.id" if key.isdecimal() else "name"
    found = db.row(f"{_MODEL} WHERE {column} = ?", key)
    if found is None:
        raise NotFound(f"model {key!r} not found")
    return found


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
    """Return the models that match (substrings without regard to case), sorted by a key of SORTS."""
    rows = db.rows(f"{_MODEL} ORDER BY {SORTS.get(sort, 'models.id')} {'DESC' if descending else 'ASC'}, models.id")
    return [
        row
        for row in rows
        if name.lower() in row["name"].lower()
        and description.lower() in row["description"].lower()
        and (archived is None or bool(row["archived"]) == archived)
        and (not users or row["username"] in users)
        and set(labels) <= set(json.loads(row["labels"]))
    ]


def labels(db: Database) -> list[str]:
    """Return all labels of models, the most used first."""
    return [
        row["value"]
        for row in db.rows(
            "SELECT value, count(*) AS uses FROM models, json_each(labels) GROUP BY value ORDER BY uses DESC, value"
        )
    ]


def change(db: Database, key: str, changes: dict[str, Any]) -> Row:
    """Replace the given ones of name, description, notes, metadata, labels; raises as `create` does."""
    model = get(db, key)
    if model["archived"]:
        raise FailedPrecondition(f"model {model['name']!r} is archived and cannot be changed; unarchive it first")
    name = changes.get("name")
    if name is not None and name.lower() != model["name"].lower():
        _check_name(db, name)
    with db.transaction():
        columns = _given(changes, ("name", "description", "notes", "metadata", "labels"))
        db.update("models", "id", model["id"], **columns, last_updated_time=now())
    return get(db, str(model["id"]))


def set_archived(db: Database, key: str, archived: bool) -> None:
    """Archive or unarchive a model."""
    with db.transaction():
        db.update("models", "id", get(db, key)["id"], archived=archived, last_updated_time=now())


def delete(db: Database, key: str) -> None:
    """Delete a model and its versions; the checkpoints stay."""
    with db.transaction():
        db.execute("DELETE FROM models WHERE id = ?", get(db, key)["id"])


def register(db: Database, key: str, user_id: int, fields: dict[str, Any]) -> Row:
    """Add the next version; raises InvalidArgument unless the checkpoint is complete."""
    model = get(db, key)
    checkpoint = checkpoints.get(db, fields["checkpointUuid"])
    if checkpoint["state"] != "COMPLETED":
        raise InvalidArgument(
            f"checkpoint {checkpoint['uuid']} is {checkpoint['state']}; only a COMPLETED one can be registered"
        )
    if model["archived"]:
        raise FailedPrecondition(f"model {model['name']!r} is archived and takes no versions; unarchive it first")
    number, time = model["versions"] + 1, now()
    with db.transaction():
        db.insert(
            "model_versions",
            model_id=model["id"],
            version=number,
            checkpoint_uuid=checkpoint["uuid"],
            name=fields.get("name") or "",
            comment=fields.get("comment") or "",
            notes=fields.get("notes") or "",
            metadata=fields.get("metadata") or {},
            labels=_labels(fields.get("labels")),
            user_id=user_id,
            creation_time=time,
            last_updated_time=time,
        )
        db.update("models", "id", model["id"], versions=number, last_updated_time=time)
    return version(db, key, number)


def versions(db: Database, key: str, *, descending: bool = False) -> list[Row]:
    """Return a model's versions by number."""
    order = "DESC" if descending else "ASC"
    return db.rows(f"{_VERSION} WHERE model_id = ? ORDER BY version {order}", get(db, key)["id"])


def version(db: Database, key: str, number: int) -> Row:
    """Return one version; raises NotFound."""
    model = get(db, key)
    found = db.row(f"{_VERSION} WHERE model_id = ? AND version = ?", model["id"], number)
    if found is None:
        raise NotFound(f"version {number} of model {model['name']!r} not found")
    return found


def change_version(db: Database, key: str, number: int, changes: dict[str, Any]) -> Row:
    """Replace the given ones of name, comment, notes, metadata, labels."""
    found = version(db, key, number)
    with db.transaction():
        columns = _given(changes, ("name", "comment", "notes", "metadata", "labels"))
        db.update("model_versions", "id", found["id"], **columns, last_updated_time=now())
        db.update("models", "id", found["model_id"], last_updated_time=now())
    return version(db, key, number)


def delete_version(db: Database, key: str, number: int) -> None:
    """Delete one version; its number is not used again."""
    with db.transaction():
        db.execute("DELETE FROM model_versions WHERE id = ?", version(db, key, number)["id"])


def _given(changes: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    columns = {name: changes[name] for name in names if changes.get(name) is not None}
    if "labels" in columns:
        columns["labels"] = _labels(columns["labels"])
    if not isinstance(columns.get("metadata", {}), dict):
        raise InvalidArgument("metadata: must be an object")
    return columns


def _labels(given: Any) -> list[str]:
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(label, str) for label in given):
        raise InvalidArgument("labels: must be a list of strings")
    return list(dict.fromkeys(given))


def _check_name(db: Database, name: str) -> None:
    if not name.strip():
        raise InvalidArgument("name: a model's name must not be blank")
    if "/" in name or "\\" in name:
        raise InvalidArgument(f"name: {name!r} must not contain a slash")
    if "  " in name:
        raise InvalidArgument(f"name: {name!r} must not contain two spaces in a row")
    if name.strip().isdecimal():
        raise InvalidArgument(f"name: {name!r} must not be a number, numbers are ids")
    if db.row("SELECT 1 FROM models WHERE name = ?", name):
        raise AlreadyExists(f"a model named {name!r} already exists (upper and lower case are not told apart)")
