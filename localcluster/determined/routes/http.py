"""What all route modules share: reading a request, answering it, and the master behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from localcluster.determined import wire
from localcluster.determined.access import Caller
from localcluster.determined.errors import InvalidArgument, PermissionDenied
from localcluster.determined.master import Master
from localcluster.determined.state.database import Row

LONGEST_NUMBER = 18
"""Digits that are sure to fit into the database's 64 bits."""
_TRUE = {"true": True, "1": True, "false": False, "0": False}


def master(request: Request) -> Master:
    """Return the master that this application fronts."""
    found: Master = request.app.state.master
    return found


def caller(request: Request) -> Caller:
    """Return who makes the call."""
    found: Caller = request.state.caller
    return found


def allocation(request: Request) -> Row:
    """Return the allocation that makes the call; raises PermissionDenied for users."""
    found = caller(request).allocation
    if found is None:
        raise PermissionDenied("only the processes of a trial make this call")
    return found


def answer(value: Any = None) -> Response:
    """Answer with JSON, `{}` for nothing."""
    return Response(wire.encode({} if value is None else value), media_type="application/json")


def pages(request: Request, items: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Cut the page that the query asks for; raises InvalidArgument."""
    offset = integer(request, "offset") or 0
    if not -len(items) <= offset <= len(items):
        raise InvalidArgument(f"offset: {offset} is out of bounds, there are {len(items)}")
    return wire.page(items, offset, integer(request, "limit") or 0)


async def body(request: Request) -> dict[str, Any]:
    """Return the request's JSON object, `{}` for an empty body; raises InvalidArgument."""
    raw = await request.body()
    if not raw:
        return {}
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise InvalidArgument(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument("the body must be a JSON object")
    return value


def field(values: dict[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    """Return a required field of a body; raises InvalidArgument naming it."""
    value = values.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise InvalidArgument(f"{name}: is required and must be of type {' or '.join(k.__name__ for k in kinds)}")
    return value


def key(request: Request, name: str = "id") -> int:
    """Return a numeric part of the path; raises InvalidArgument."""
    text = request.path_params[name]
    if not text.isdecimal() or len(text) > LONGEST_NUMBER:
        raise InvalidArgument(f"{name}: {text!r} is not a number")
    return int(text)


def integer(request: Request, name: str) -> int | None:
    """Return a number of the query; raises InvalidArgument."""
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise InvalidArgument(f"{name}: {text!r} is not a number") from error


def flag(request: Request, name: str) -> bool | None:
    """Return a boolean of the query, None where it is absent."""
    return _TRUE.get(request.query_params.get(name, "").lower())


def descending(request: Request) -> bool | None:
    """Return what `orderBy` says, None where it says nothing."""
    return {"ORDER_BY_ASC": False, "ORDER_BY_DESC": True}.get(request.query_params.get("orderBy", ""))
