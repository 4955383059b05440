"""The ASGI application: the routes, who may call them, and errors in the gateway's shape."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from localcluster.determined import access, wire
from localcluster.determined.errors import ApiError, Internal, NotFound, Unimplemented
from localcluster.determined.master import Master
from localcluster.determined.routes import ROUTES, pages

LOGGER = logging.getLogger("determined.api")


class Door:
    """Lets nobody in without a token, before any route is looked at."""

    def __init__(self, app: ASGIApp, master: Master) -> None:
        self._app, self._master = app, master

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Identify the caller of an HTTP request; errors are answered in the API's shape."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) in access.PUBLIC:
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            caller = access.identify(self._master.db, scope["method"], scope["path"], headers)
        except ApiError as error:
            path = scope["path"]
            refusal = pages.to_login(path) if access.is_page(path) else _refuse(path, error)
            await refusal(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)


def application(master: Master) -> ASGIApp:
    """Return the application in front of `master`."""
    app = Starlette(
        routes=[*ROUTES, *pages.ROUTES],
        exception_handlers={ApiError: _on_api_error, HTTPException: _on_http_error, Exception: _on_defect},
    )
    app.router.redirect_slashes = False
    app.state.master = master
    return Door(app, master)


def _refuse(path: str, error: ApiError) -> Response:
    if access.is_page(path):
        return pages.refuse(error)
    return Response(wire.encode(error.body()), status_code=error.status, media_type="application/json")


async def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _refuse(request.url.path, error)


async def _on_http_error(request: Request, _: Exception) -> Response:
    """Starlette found no route: the call exists on a real master, perhaps, but not here."""
    path = request.url.path
    if access.is_page(path):
        return _refuse(path, NotFound(f"there is no page {path}"))
    return _refuse(path, Unimplemented(f"{request.method} {path} is not served by the local Determined master"))


async def _on_defect(request: Request, error: Exception) -> Response:
    call = f"{request.method} {request.url.path}"
    LOGGER.error("%s failed", call, exc_info=error)
    return _refuse(request.url.path, Internal(f"the local master failed at {call}; its log says why (make logs)"))
