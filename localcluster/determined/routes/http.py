"""What all route modules share: a call as they see it, and the table that serves them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcluster.determined import wire
from localcluster.determined.access import Caller
from localcluster.determined.errors import InvalidArgument, PermissionDenied
from localcluster.determined.master import Master
from localcluster.determined.state.database import Row
from localcluster.documents import check_json

LARGEST_LOGIN = 10_000
"""Bytes that a caller without a token may send."""

_TRUE = {"true": True, "1": True, "false": False, "0": False}
_ORDERS = {"ORDER_BY_ASC": False, "ORDER_BY_DESC": True}


class Call:
    """One request with its whole body, so that a handler is never interrupted; all methods raise InvalidArgument."""

    def __init__(self, request: Request, raw: bytes = b"") -> None:
        self.request, self._raw = request, raw
        self.path, self.query = request.path_params, request.query_params
        self.master: Master = request.app.state.master
        self.db = self.master.db
        self.caller = cast(Caller, getattr(request.state, "caller", None))  # None where no token is needed

    @property
    def allocation(self) -> Row:
        """The allocation that makes the call; raises PermissionDenied for users."""
        if self.caller.allocation is None:
            raise PermissionDenied("only the processes of a trial make this call")
        return self.caller.allocation

    @cached_property
    def body(self) -> dict[str, Any]:
        """The body's JSON object, `{}` where it is empty."""
        try:
            check_json(self._raw.decode(errors="replace"))
            value = json.loads(self._raw or b"{}")
        except ValueError as error:
            raise InvalidArgument(f"the body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise InvalidArgument("the body must be a JSON object")
        _check(value, "")
        return value

    def field(self, name: str, *kinds: type) -> Any:
        """Return a required field of the body."""
        return field(self.body, name, *kinds)

    def key(self, name: str = "id") -> int:
        """Return a numeric part of the path."""
        return _number(name, self.path[name])

    def integer(self, name: str) -> int:
        """Return a number of the query, 0 where it is absent."""
        return next(iter(self.integers(name)), 0)

    def integers(self, name: str) -> list[int]:
        """Return the numbers that the query gives."""
        return [_number(name, text) for text in self.query.getlist(name) if text]

    def flag(self, name: str) -> bool | None:
        """Return a boolean of the query, None where it is absent."""
        return _TRUE.get(self.query.get(name, "").lower())

    @property
    def descending(self) -> bool | None:
        """What `orderBy` says, None where it says nothing."""
        return _ORDERS.get(self.query.get("orderBy", ""))

    def page(
        self, name: str, items: Sequence[Any], shape: Callable[[Any], Any], *, beyond: bool = False
    ) -> dict[str, Any]:
        """Return the page of `items` that the query asks for, shaped, and where it lies.

        A limit of 0 is everything; a negative offset counts from the end, as upstream.  There, too, some lists are
        empty `beyond` their end, and the others refuse such an offset.
        """
        offset, limit, total = self.integer("offset"), self.integer("limit"), len(items)
        start = offset if offset >= 0 else total + offset
        if not 0 <= start <= total:
            if not beyond:
                raise InvalidArgument(f"offset: {offset} is out of bounds, there are {total}")
            start = total
        end = min(start + limit, total) if limit > 0 else total
        pagination = {"offset": offset, "limit": limit, "startIndex": start, "endIndex": end, "total": total}
        return {name: [shape(item) for item in items[start:end]], "pagination": pagination}


async def strangers_body(request: Request) -> bytes:
    """Return the body of a call that needs no token; raises InvalidArgument before a large one fills the memory."""
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_LOGIN:
            raise InvalidArgument(f"the body is larger than {LARGEST_LOGIN} bytes")
    return raw


def field(values: dict[str, Any], name: str, *kinds: type) -> Any:
    """Return a required field of a JSON object; raises InvalidArgument naming it."""
    value = values.get(name)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise InvalidArgument(f"{name}: is required and must be of type {' or '.join(k.__name__ for k in kinds)}")
    return value


_KINDS: dict[str, type] = {
    **dict.fromkeys(("name", "description", "notes", "comment", "config", "overrideConfig", "path", "content"), str),
    **dict.fromkeys(("uuid", "checkpointUuid", "workspaceName", "group", "state", "reportTime"), str),
    **dict.fromkeys(("metadata", "resources", "checkpointStorage", "checkpoint", "metrics"), dict),
    **dict.fromkeys(("activate", "validateOnly", "isHashed"), bool),
    "parentId": int,
}
_LISTS: dict[str, type] = {
    **dict.fromkeys(("labels", "checkpointUuids", "checkpointGlobs"), str),
    **dict.fromkeys(("modelDefinition", "checkpoints"), dict),
}
"""A field has the same type in every call that has it; what users put into objects is looked at no further."""


def _check(values: dict[str, Any], where: str) -> None:
    """Raise InvalidArgument, naming it, for a field of the wrong type, in a body and in its lists of objects."""
    for name, value in values.items():
        kind, of = _KINDS.get(name), _LISTS.get(name)
        if value is None:
            continue
        if kind and (not isinstance(value, kind) or (isinstance(value, bool) and kind is int)):
            raise InvalidArgument(f"{where}{name}: must be of type {kind.__name__}")
        if of and not (isinstance(value, list) and all(isinstance(item, of) for item in value)):
            raise InvalidArgument(f"{where}{name}: must be a list of type {of.__name__}")
        for item in value if of is dict else ():
            _check(item, f"{where}{name}.")


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidArgument(f"{name}: {text!r} is not a number") from error


def served(handlers: Mapping[str, Callable[[Call], Any]]) -> list[Route]:
    """Return routes for handlers by `METHOD path`.

    A handler returns, or is a coroutine that returns, a Response or what is answered as JSON (`{}` for None).
    """
    calls = [(*call.partition(" "), handler) for call, handler in handlers.items()]
    return [Route(path, _endpoint(handler), methods=[method]) for method, _, path, handler in calls]


def _endpoint(handler: Callable[[Call], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        known = hasattr(request.state, "caller")
        value = handler(Call(request, await (request.body() if known else strangers_body(request))))
        if inspect.isawaitable(value):
            value = await value
        if isinstance(value, Response):
            return value
        return Response(wire.encode({} if value is None else value), media_type="application/json")

    return endpoint
