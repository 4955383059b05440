"""Login, logout and users."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcluster.determined import wire
from localcluster.determined.errors import PermissionDenied
from localcluster.determined.routes.http import answer, body, caller, field, key, master, pages
from localcluster.determined.state import users


async def login(request: Request) -> Response:
    """v1LoginRequest; `isHashed` says that the client salted and hashed the password already."""
    values = await body(request)
    name = field(values, "username", str)
    password = _password(values, field(values, "password", str))
    token, user = await asyncio.to_thread(users.login, master(request).db, name, password)
    return answer({"token": token, "user": wire.user(user)})


async def logout(request: Request) -> Response:
    """Forget the caller's token."""
    users.logout(master(request).db, caller(request).token)
    return answer()


async def me(request: Request) -> Response:
    """v1GetMeResponse."""
    return answer({"user": wire.user(caller(request).user)})


async def list_users(request: Request) -> Response:
    """v1GetUsersResponse."""
    items, pagination = pages(request, users.every(master(request).db))
    return answer({"users": [wire.user(row) for row in items], "pagination": pagination})


async def create_user(request: Request) -> Response:
    """v1PostUserRequest; administrators only."""
    _require_admin(request)
    values = await body(request)
    given = field(values, "user", dict)
    password = _password(values, values.get("password") or "")
    user = users.create(master(request).db, field(given, "username", str), password, admin=bool(given.get("admin")))
    return answer({"user": wire.user(user)})


async def get_user(request: Request) -> Response:
    """One user by id."""
    return answer({"user": wire.user(users.get(master(request).db, key(request)))})


async def get_by_name(request: Request) -> Response:
    """One user by name."""
    return answer({"user": wire.user(users.get(master(request).db, request.path_params["name"]))})


async def patch_user(request: Request) -> Response:
    """v1PatchUser: one's own password and display name; all else is the administrators'."""
    values = await body(request)
    user_id = key(request)
    if user_id != caller(request).user["id"] or {"admin", "active"} & values.keys():
        _require_admin(request)
    changes = {name: values[name] for name in ("admin", "active") if values.get(name) is not None}
    if values.get("displayName") is not None:
        changes["display_name"] = values["displayName"]
    if values.get("password") is not None:
        changes["password"] = _password(values, values["password"])
    return answer({"user": wire.user(users.change(master(request).db, user_id, changes))})


def _password(values: dict[str, Any], password: str) -> str:
    return password if values.get("isHashed") else users.client_hash(password)


def _require_admin(request: Request) -> None:
    if not caller(request).user["admin"]:
        raise PermissionDenied("only an administrator may do this")


ROUTES = [
    Route("/api/v1/auth/login", login, methods=["POST"]),
    Route("/api/v1/auth/logout", logout, methods=["POST"]),
    Route("/api/v1/auth/user", me),
    Route("/api/v1/me", me),
    Route("/api/v1/users", list_users),
    Route("/api/v1/users", create_user, methods=["POST"]),
    Route("/api/v1/users/{id}", get_user),
    Route("/api/v1/users/{id}", patch_user, methods=["PATCH"]),
    Route("/api/v1/users/{name}/by-username", get_by_name),
]
