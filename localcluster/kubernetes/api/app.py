"""The ASGI application: routes, the bearer token, and errors as Status objects."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from localcluster.kubernetes.api import discovery, proxy
from localcluster.kubernetes.api.logs import open_log
from localcluster.kubernetes.api.resources import Call, answer, parse_path
from localcluster.kubernetes.api.watch import DEFAULT_SECONDS, Hub, Watch
from localcluster.kubernetes.errors import ApiError, BadRequest, NotFound, Unauthorized
from localcluster.kubernetes.layout import Layout
from localcluster.kubernetes.state.kinds import POD
from localcluster.kubernetes.state.store import Store

OPEN_PATHS = ("/readyz", "/livez", "/healthz", "/version")
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def create_app(store: Store, layout: Layout, token: str, lifespan: Lifespan) -> ASGIApp:
    """The API over one store; `lifespan` must put a `Hub` into `app.state.hub`."""

    async def resource(request: Request) -> Response:
        call = await _call(request)
        if call.method == "GET" and call.query.get("watch") in ("true", "1"):
            return _watch(store, request.app.state.hub, call)
        if call.method == "GET" and call.target.kind is POD and call.target.subresource == "log":
            pod = await run_in_threadpool(store.get, POD, call.target.namespace, call.target.name)
            return StreamingResponse(open_log(store, layout, pod, call.query), media_type="text/plain")
        status, body = await run_in_threadpool(answer, store, call)
        headers = [("Warning", f"299 - {json.dumps(text)}") for text in dict.fromkeys(call.warnings)]
        response = _json(body, status)
        for name, value in headers:
            response.headers.append(name, value)
        return response

    async def pod_proxy(request: Request) -> Response:
        return await proxy.forward(store, request)

    app = Starlette(
        routes=[
            *(Route(path, _ok) for path in ("/readyz", "/livez", "/healthz")),
            Route("/version", lambda _: _json(discovery.VERSION)),
            Route("/api", lambda _: _json(discovery.aggregated(core=True), media_type=discovery.AGGREGATED)),
            Route("/apis", lambda _: _json(discovery.aggregated(core=False), media_type=discovery.AGGREGATED)),
            Route("/openapi/v3", lambda _: _json(discovery.openapi_index())),
            Route("/openapi/v3/api/{version}", _document),
            Route("/openapi/v3/apis/{group}/{version}", _document),
            Route(proxy.PATH, pod_proxy, methods=proxy.METHODS),
            Route("/api/{version}/{path:path}", resource, methods=_METHODS),
            Route("/apis/{group}/{version}/{path:path}", resource, methods=_METHODS),
        ],
        exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _internal_error},
        lifespan=lifespan,
    )
    return BearerToken(app, token)


class BearerToken:
    """Lets nobody in without the token, except to the paths that say whether the server is there."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        headers = dict(scope.get("headers", []))
        allowed = scope["type"] != "http" or scope["path"] in OPEN_PATHS
        if allowed or hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            await self._app(scope, receive, send)
        else:
            await _json(Unauthorized().status(), 401)(scope, receive, send)


async def _call(request: Request) -> Call:
    path = request.path_params
    target = parse_path(path.get("group", ""), path["version"], path["path"])
    return Call(
        method=request.method,
        target=target,
        query=dict(request.query_params),
        content_type=request.headers.get("content-type", "").partition(";")[0].strip(),
        accept=request.headers.get("accept", ""),
        body=await request.body(),
    )


def _watch(store: Store, hub: Hub, call: Call) -> Response:
    target, query = call.target, call.query
    try:
        version, seconds = (
            str(int(query.get("resourceVersion") or 0)),
            float(query.get("timeoutSeconds") or DEFAULT_SECONDS),
        )
    except ValueError as error:
        raise BadRequest(f"resourceVersion and timeoutSeconds are numbers: {error}") from error
    watch = Watch(store, hub, target.kind, target.namespace, call.matches, version, seconds, call.as_table)
    return StreamingResponse(watch.lines(), media_type="application/json")


def _json(body: Any, status: int = 200, media_type: str = "application/json") -> Response:
    return Response(json.dumps(body), status, media_type=media_type)


def _ok(_: Request) -> Response:
    return PlainTextResponse("ok")


def _document(request: Request) -> Response:
    return _json(discovery.openapi_document(request.path_params.get("group", ""), request.path_params["version"]))


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _json(error.status(), error.code)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json(NotFound().status() | {"code": error.status_code}, error.status_code)


async def _internal_error(_: Request, error: Exception) -> Response:
    return _json(ApiError(f"internal error: {error!r}").status(), 500)
