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

from localcluster.kubernetes.api import answers, bodies, deleting, discovery, proxy, reading, scale, writing
from localcluster.kubernetes.api.answers import as_json
from localcluster.kubernetes.api.logs import open_log
from localcluster.kubernetes.api.resources import Call, check_subresource, parse_path
from localcluster.kubernetes.api.watch import DEFAULT_SECONDS, Hub, Watch
from localcluster.kubernetes.errors import ApiError, NotAllowed, NotFound, Unauthorized
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
        if call.method == "GET" and not call.target.name and call.query.get("watch", "false") not in ("false", "0"):
            return _watch(store, request.app.state.hub, call)
        if call.method == "GET" and call.target.kind is POD and call.target.subresource == "log":
            for option in ("tailLines", "limitBytes"):
                call.number(option)
            pod = await run_in_threadpool(store.get, POD, call.target.namespace, call.target.name)
            return StreamingResponse(open_log(store, layout, pod, call.query), media_type="text/plain")
        reply = answers.negotiated(request.headers.get("accept", ""))
        try:
            status, body = await run_in_threadpool(_answer, store, call)
        except ApiError as error:
            if not call.warnings:
                raise
            status, body = error.code, error.status()
        headers = [("Warning", f"299 - {json.dumps(text)}") for text in dict.fromkeys(call.warnings)]
        response = reply(body, status)
        for name, value in headers:
            response.headers.append(name, value)
        return response

    async def pod_proxy(request: Request) -> Response:
        return await proxy.forward(store, request)

    app = Starlette(
        routes=[
            *(Route(path, _ok) for path in ("/readyz", "/livez", "/healthz")),
            Route("/", lambda _: as_json({"paths": discovery.PATHS})),
            Route("/version", lambda _: as_json(discovery.VERSION)),
            Route("/api", lambda request: _versions(request, core=True)),
            Route("/apis", lambda request: _versions(request, core=False)),
            Route("/apis/{group}", lambda request: as_json(discovery.group(request.path_params["group"]))),
            Route("/api/{version}", _resources),
            Route("/apis/{group}/{version}", _resources),
            Route("/openapi/v2", _openapi_v2),
            Route("/openapi/v3", lambda _: as_json(discovery.openapi_index())),
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
        given = headers.get(b"authorization", b"")
        allowed = scope["type"] != "http" or (scope["path"] in OPEN_PATHS and not given)
        if allowed or hmac.compare_digest(given, self._expected):
            await self._app(scope, receive, send)
        else:
            await as_json(Unauthorized().status(), 401)(scope, receive, send)


def _answer(store: Store, call: Call) -> tuple[int, Any]:
    """Carry out everything but watches and logs; raises ApiError."""
    target = call.target
    if target.subresource:
        check_subresource(store, target)
    if target.subresource == "scale" and call.method in ("GET", "PUT", "PATCH"):
        return 200, scale.answer(store, call)
    if call.method == "GET":
        return 200, reading.one(store, call) if target.name else reading.listed(store, call)
    if call.method == "POST" and not target.name and (target.namespace or not target.kind.namespaced):
        return 201, writing.create(store, call)
    if call.method == "PUT" and target.name:
        return 200, writing.replace(store, call)
    if call.method == "PATCH" and target.name:
        return 200, writing.patch(store, call)
    if call.method == "DELETE" and target.name and not target.subresource:
        return 200, deleting.delete(store, call)
    if call.method == "DELETE" and target.namespace and not target.name:
        return 200, deleting.delete_collection(store, call)
    raise NotAllowed


async def _call(request: Request) -> Call:
    path = request.path_params
    target = parse_path(path.get("group", ""), path["version"], path["path"])
    return Call(
        method=request.method,
        target=target,
        query=dict(request.query_params),
        content_type=request.headers.get("content-type", "").partition(";")[0].strip(),
        accept=request.headers.get("accept", ""),
        body=bodies.checked_size(await request.body()),
    )


def _watch(store: Store, hub: Hub, call: Call) -> Response:
    seconds = call.number("timeoutSeconds") or DEFAULT_SECONDS
    reading.check_watch(call)
    watch = Watch(store, hub, call, call.matches, reading.given_version(call), seconds)
    return StreamingResponse(watch.lines(), media_type="application/json")


def _versions(request: Request, *, core: bool) -> Response:
    if "as=APIGroupDiscoveryList" in request.headers.get("accept", ""):
        return as_json(discovery.aggregated(core=core), media_type=discovery.AGGREGATED)
    return as_json(discovery.versions() if core else discovery.groups())


def _resources(request: Request) -> Response:
    path = request.path_params
    return as_json(discovery.resources(path.get("group", ""), path["version"]))


def _ok(_: Request) -> Response:
    return PlainTextResponse("ok")


def _openapi_v2(request: Request) -> Response:
    """What kubectl asks for, as protobuf only, where v3 does not know a kind; to find nothing there is its answer."""
    if discovery.OPENAPI_V2 not in request.headers.get("accept", ""):
        raise NotFound
    return Response(discovery.EMPTY_OPENAPI_V2, media_type=discovery.OPENAPI_V2.replace("@", "."))


def _document(request: Request) -> Response:
    return as_json(discovery.openapi_document(request.path_params.get("group", ""), request.path_params["version"]))


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    if isinstance(error, NotFound) and not error.details and not discovery.built_in(request.url.path):
        return PlainTextResponse("404 page not found\n", NotFound.code)
    return as_json(error.status(), error.code)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return await _api_error(request, NotAllowed() if error.status_code == NotAllowed.code else NotFound())


async def _internal_error(_: Request, error: Exception) -> Response:
    return as_json(ApiError(f"internal error: {error!r}").status(), 500)
