"""The pages for people: server-rendered, read-only, behind a login of their own.

The session is an ordinary token in a cookie that scripts cannot read and other sites cannot send.  It opens these
pages only: the API never looks at cookies, so no foreign page can make a browser call it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from localcluster.determined import access
from localcluster.determined.errors import ApiError, Unauthenticated
from localcluster.determined.pages import render, views
from localcluster.determined.routes.http import Call, strangers_body
from localcluster.determined.state import overview, users

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'"
        "; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_AFTER_LOGIN = re.compile(r"/(det/[a-z0-9/]*)?")
"""Addresses that a login may lead to: paths of these pages, so never another host."""


def show(template: str, status: int = 200, **variables: Any) -> Response:
    """Answer with a page."""
    return Response(render.page(template, **variables), status, HEADERS, "text/html")


def refuse(error: ApiError) -> Response:
    """Answer with a page that says what is wrong."""
    return show("error.html", error.status, message=str(error))


def to_login(path: str) -> Response:
    """Send a visitor without a session to the login page, which leads back to where they wanted to go."""
    back = f"?next={path}" if path != "/" and _AFTER_LOGIN.fullmatch(path) else ""
    return RedirectResponse(f"/login{back}", 303, HEADERS)


async def login(request: Request) -> Response:
    """Begin a session; a wrong name or password shows the form again."""
    call, raw = Call(request), await strangers_body(request)
    form = {name: values[-1] for name, values in parse_qs(raw.decode("utf-8", "replace")).items()}
    name, wanted = form.get("username", ""), form.get("next", "")
    try:
        token, _ = await users.login(call.db, name, users.client_hash(form.get("password", "")))
    except Unauthenticated:
        return _form(call, wanted, name, "The name or the password is wrong.")
    answer = RedirectResponse(wanted if _AFTER_LOGIN.fullmatch(wanted) else "/", 303, HEADERS)
    lifetime = int(users.TOKEN_LIFETIME.total_seconds())
    answer.set_cookie(access.COOKIE, token, max_age=lifetime, httponly=True, samesite="strict")
    return answer


async def logout(request: Request) -> Response:
    """End the session."""
    users.logout(Call(request).db, request.cookies.get(access.COOKIE, ""))
    answer = RedirectResponse("/login", 303, HEADERS)
    answer.delete_cookie(access.COOKIE, httponly=True, samesite="strict")
    return answer


def _form(call: Call, wanted: str, name: str, problem: str = "") -> Response:
    file = call.master.settings.home / "secrets" / "determined"
    status = 403 if problem else 200
    return show("login.html", status, next=wanted, username=name, problem=problem, password_file=file)


def _page(path: str, template: str, view: Callable[[Call], dict[str, Any]]) -> Route:
    def endpoint(request: Request) -> Response:
        call = Call(request)
        call.db = overview.Snapshot(call.db.path)
        try:
            return show(template, user=call.caller.user, **view(call))
        finally:
            call.db.close()

    return Route(path, endpoint)


def _file(name: str) -> Route:
    headers = {**HEADERS, "Cache-Control": "no-cache"}
    return Route(f"/det/{name}", lambda _: FileResponse(render.ROOM / name, headers=headers))


def _list(call: Call) -> dict[str, Any]:
    return views.experiment_list(call.db, max(1, call.integer("page")), bool(call.flag("archived")))


ROUTES = [
    Route("/login", lambda request: _form(Call(request), request.query_params.get("next", ""), "determined")),
    Route("/login", login, methods=["POST"]),
    Route("/logout", logout, methods=["POST"]),
    *map(_file, ("style.css", "live.js")),
    *(_page(path, "experiments.html", _list) for path in ("/", "/det/", "/det/experiments")),
    _page("/det/experiments/{id}", "experiment.html", lambda call: views.experiment(call.db, call.key())),
    _page("/det/trials/{id}", "trial.html", lambda call: views.trial(call.db, call.key())),
    _page("/det/models", "models.html", lambda call: views.registry(call.db, None)),
    _page("/det/models/{name}", "models.html", lambda call: views.registry(call.db, call.path["name"])),
]
