"""The model registry."""

from __future__ import annotations

from typing import Any

from localcluster.determined import wire
from localcluster.determined.routes.http import Call, served
from localcluster.determined.state import models
from localcluster.determined.state.database import Row


def find(call: Call) -> dict[str, Any]:
    """v1GetModelsResponse."""
    rows = models.find(
        call.db,
        name=call.query.get("name", ""),
        description=call.query.get("description", ""),
        labels=call.query.getlist("labels"),
        archived=call.flag("archived"),
        users=call.query.getlist("users"),
        sort=call.query.get("sortBy", ""),
        descending=bool(call.descending),
    )
    number = call.query.get("id") or None
    return call.page("models", [row for row in rows if number in (None, str(row["id"]))], wire.model)


def create(call: Call) -> dict[str, Any]:
    """v1PostModelRequest."""
    call.field("name", str)
    return {"model": wire.model(models.create(call.db, call.caller.user["id"], call.body))}


def list_versions(call: Call) -> dict[str, Any]:
    """v1GetModelVersionsResponse."""
    rows = models.versions(call.db, call.path["model"], descending=bool(call.descending))
    found = call.page("modelVersions", rows, lambda row: wire.model_version(call.db, row))
    return {"model": wire.model(models.get(call.db, call.path["model"])), **found}


def register(call: Call) -> dict[str, Any]:
    """v1PostModelVersionRequest."""
    call.field("checkpointUuid", str)
    return _version(call, models.register(call.db, call.path["model"], call.caller.user["id"], call.body))


def _version(call: Call, row: Row) -> dict[str, Any]:
    return {"modelVersion": wire.model_version(call.db, row)}


def _numbered(call: Call) -> tuple[str, int]:
    return call.path["model"], call.key("version")


_MODEL = "/api/v1/models/{model}"
_VERSION = f"{_MODEL}/versions/{{version}}"
ROUTES = served(
    {
        "GET /api/v1/models": find,
        "POST /api/v1/models": create,
        f"GET {_MODEL}": lambda call: {"model": wire.model(models.get(call.db, call.path["model"]))},
        f"PATCH {_MODEL}": lambda call: {"model": wire.model(models.change(call.db, call.path["model"], call.body))},
        f"DELETE {_MODEL}": lambda call: models.delete(call.db, call.path["model"]),
        f"POST {_MODEL}/archive": lambda call: models.set_archived(call.db, call.path["model"], archived=True),
        f"POST {_MODEL}/unarchive": lambda call: models.set_archived(call.db, call.path["model"], archived=False),
        f"GET {_MODEL}/versions": list_versions,
        f"POST {_MODEL}/versions": register,
        f"GET {_VERSION}": lambda call: _version(call, models.version(call.db, *_numbered(call))),
        f"PATCH {_VERSION}": lambda call: _version(call, models.change_version(call.db, *_numbered(call), call.body)),
        f"DELETE {_VERSION}": lambda call: models.delete_version(call.db, *_numbered(call)),
    }
)
