"""Login, logout, whoami and the change of a password."""

from __future__ import annotations

from typing import Any

from localcluster.determined import wire
from localcluster.determined.errors import InvalidArgument, PermissionDenied, Unimplemented
from localcluster.determined.routes.http import Call, served
from localcluster.determined.state import users


async def login(call: Call) -> dict[str, Any]:
    """v1LoginRequest."""
    name = call.field("username", str)
    if not name:
        raise InvalidArgument("missing argument: username")
    token, user = await users.login(call.db, name, _password(call))
    return {"token": token, "user": wire.user(user)}


async def patch_user(call: Call) -> dict[str, Any]:
    """v1PatchUser, of which the password is served: one's own, or anybody's for an administrator."""
    me = call.caller.user
    if others := sorted(name for name in call.body.keys() - {"password", "isHashed"} if call.body[name] is not None):
        raise Unimplemented(f"{call.request.method} {call.request.url.path} with {', '.join(others)} is not served")
    user = users.get(call.db, call.key())
    if user["id"] != me["id"] and not me["admin"]:
        raise PermissionDenied("only admin privileged users can change other user's passwords")
    await users.set_password(call.db, user["id"], _password(call))
    return {"user": wire.user(users.get(call.db, user["id"]))}


def _password(call: Call) -> str:
    """Return the body's password as users.py wants it; `isHashed` says that the client salted and hashed it already."""
    password: str = call.field("password", str)
    return password if call.body.get("isHashed") else users.client_hash(password)


ROUTES = served(
    {
        "POST /api/v1/auth/login": login,
        "POST /api/v1/auth/logout": lambda call: users.logout(call.db, call.caller.token),
        "GET /api/v1/me": lambda call: {"user": wire.user(call.caller.user)},
        "PATCH /api/v1/users/{id}": patch_user,
        "GET /api/v1/users/{name}/by-username": lambda call: {"user": wire.user(users.get(call.db, call.path["name"]))},
    }
)
