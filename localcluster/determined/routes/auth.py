"""Login, logout, whoami and the change of a password."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcluster.determined import wire
from localcluster.determined.errors import InvalidArgument, PermissionDenied, Unimplemented
from localcluster.determined.routes.http import answer, body, caller, field, key, master
from localcluster.determined.state import users


async def login(request: Request) -> Response:
    """v1LoginRequest; `isHashed` says that the client salted and hashed the password already."""
    values = await body(request)
    name = field(values, "username", str)
    if not name:
        raise InvalidArgument("missing argument: username")
    password = _password(values, field(values, "password", str))
    token, user = await users.login(master(request).db, name, password)
    return answer({"token": token, "user": wire.user(user)})


async def logout(request: Request) -> Response:
    """Forget the caller's token."""
    users.logout(master(request).db, caller(request).token)
    return answer()


async def me(request: Request) -> Response:
    """v1GetMeResponse."""
    return answer({"user": wire.user(caller(request).user)})


async def get_by_name(request: Request) -> Response:
    """v1GetUserByUsernameResponse."""
    return answer({"user": wire.user(users.get(master(request).db, request.path_params["name"]))})


async def patch_user(request: Request) -> Response:
    """v1PatchUser, of which the password is served: one's own, or anybody's for an administrator."""
    db, values, me = master(request).db, await body(request), caller(request).user
    if others := sorted(name for name in values.keys() - {"password", "isHashed"} if values[name] is not None):
        raise Unimplemented(f"{request.method} {request.url.path} with {', '.join(others)} is not served")
    user = users.get(db, key(request))
    if user["id"] != me["id"] and not me["admin"]:
        raise PermissionDenied("only admin privileged users can change other user's passwords")
    password = _password(values, field(values, "password", str))
    await users.set_password(db, user["id"], password)
    return answer({"user": wire.user(users.get(db, user["id"]))})


def _password(values: dict[str, Any], password: str) -> str:
    return password if values.get("isHashed") else users.client_hash(password)


ROUTES = [
    Route("/api/v1/auth/login", login, methods=["POST"]),
    Route("/api/v1/auth/logout", logout, methods=["POST"]),
    Route("/api/v1/me", me),
    Route("/api/v1/users/{id}", patch_user, methods=["PATCH"]),
    Route("/api/v1/users/{name}/by-username", get_by_name),
]
