"""The model registry."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcluster.determined import wire
from localcluster.determined.routes.http import answer, body, caller, descending, field, flag, key, master, pages
from localcluster.determined.state import models


async def find(request: Request) -> Response:
    """v1GetModelsResponse."""
    query = request.query_params
    rows = models.find(
        master(request).db,
        name=query.get("name", ""),
        description=query.get("description", ""),
        labels=query.getlist("labels"),
        archived=flag(request, "archived"),
        users=query.getlist("users"),
        sort=query.get("sortBy", ""),
        descending=bool(descending(request)),
    )
    if query.get("id"):
        rows = [row for row in rows if str(row["id"]) == query["id"]]
    items, pagination = pages(request, rows)
    return answer({"models": [wire.model(row) for row in items], "pagination": pagination})


async def create(request: Request) -> Response:
    """v1PostModelRequest."""
    values = await body(request)
    field(values, "name", str)
    row = models.create(master(request).db, caller(request).user["id"], values)
    return answer({"model": wire.model(row)})


async def get(request: Request) -> Response:
    """v1GetModelResponse."""
    return answer({"model": wire.model(models.get(master(request).db, _model(request)))})


async def patch(request: Request) -> Response:
    """v1PatchModel."""
    return answer({"model": wire.model(models.change(master(request).db, _model(request), await body(request)))})


async def delete(request: Request) -> Response:
    """Delete a model and its versions."""
    models.delete(master(request).db, _model(request))
    return answer()


async def archive(request: Request) -> Response:
    """Archive or unarchive a model."""
    models.set_archived(master(request).db, _model(request), archived=request.url.path.endswith("/archive"))
    return answer()


async def list_versions(request: Request) -> Response:
    """v1GetModelVersionsResponse."""
    db = master(request).db
    rows = models.versions(db, _model(request), descending=bool(descending(request)))
    items, pagination = pages(request, rows)
    return answer(
        {
            "model": wire.model(models.get(db, _model(request))),
            "modelVersions": [wire.model_version(db, row) for row in items],
            "pagination": pagination,
        }
    )


async def register(request: Request) -> Response:
    """v1PostModelVersionRequest."""
    db = master(request).db
    values = await body(request)
    field(values, "checkpointUuid", str)
    row = models.register(db, _model(request), caller(request).user["id"], values)
    return answer({"modelVersion": wire.model_version(db, row)})


async def get_version(request: Request) -> Response:
    """v1GetModelVersionResponse."""
    db = master(request).db
    row = models.version(db, _model(request), key(request, "version"))
    return answer({"modelVersion": wire.model_version(db, row)})


async def patch_version(request: Request) -> Response:
    """v1PatchModelVersion: what is given replaces what was there."""
    db = master(request).db
    row = models.change_version(db, _model(request), key(request, "version"), await body(request))
    return answer({"modelVersion": wire.model_version(db, row)})


async def delete_version(request: Request) -> Response:
    """Delete one version."""
    models.delete_version(master(request).db, _model(request), key(request, "version"))
    return answer()


def _model(request: Request) -> str:
    name: str = request.path_params["model"]
    return name


ROUTES = [
    Route("/api/v1/models", find),
    Route("/api/v1/models", create, methods=["POST"]),
    Route("/api/v1/models/{model}", get),
    Route("/api/v1/models/{model}", patch, methods=["PATCH"]),
    Route("/api/v1/models/{model}", delete, methods=["DELETE"]),
    Route("/api/v1/models/{model}/archive", archive, methods=["POST"]),
    Route("/api/v1/models/{model}/unarchive", archive, methods=["POST"]),
    Route("/api/v1/models/{model}/versions", list_versions),
    Route("/api/v1/models/{model}/versions", register, methods=["POST"]),
    Route("/api/v1/models/{model}/versions/{version}", get_version),
    Route("/api/v1/models/{model}/versions/{version}", patch_version, methods=["PATCH"]),
    Route("/api/v1/models/{model}/versions/{version}", delete_version, methods=["DELETE"]),
]
