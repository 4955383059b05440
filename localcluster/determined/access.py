"""Who calls, and how far an allocation's token reaches: its own trial, and what its experiment lets it read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import cookie_parser

from localcluster.determined.errors import PermissionDenied, Unauthenticated
from localcluster.determined.state import trials, users
from localcluster.determined.state.database import Database, Row

PUBLIC = {
    ("GET", "/info"),
    ("POST", "/api/v1/auth/login"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("GET", "/det/style.css"),
    ("GET", "/det/live.js"),
}
"""Calls that need no token."""

COOKIE = "determined"
"""Holds a visitor's token; it opens pages and nothing else, so no foreign site can act through a browser."""

ALLOCATION_HEADER = "grpc-metadata-x-allocation-token"


@dataclass(frozen=True)
class Caller:
    """The user on whose behalf a call is made, and the allocation where a trial's process makes it."""

    user: Row
    token: str
    allocation: Row | None = None


def identify(db: Database, method: str, path: str, headers: dict[str, str]) -> Caller:
    """Return who calls; raises Unauthenticated, and PermissionDenied where an allocation reaches too far."""
    if is_page(path):
        token = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return Caller(users.of_token(db, token), token)
    if token := _bearer(headers.get(ALLOCATION_HEADER, "")):
        allocation = trials.of_token(db, token)
        if not reaches(allocation, method, path) or not _may_see(db, allocation, path):
            raise PermissionDenied(f"the token of a trial does not allow {method} {path}")
        return Caller(users.get(db, allocation["user_id"]), token, allocation)
    if token := _bearer(headers.get("authorization", "")):
        return Caller(users.of_token(db, token), token)
    raise Unauthenticated("no token was given: log in with `det user login`")


def is_page(path: str) -> bool:
    """Whether a path is one of the pages for people, which answer in HTML."""
    return path in ("/", "/login", "/logout") or path.startswith("/det/")


def _bearer(value: str) -> str:
    return value[len("Bearer ") :].strip() if value.startswith("Bearer ") else value.strip()


def reaches(allocation: Row | Mapping[str, Any], method: str, path: str) -> bool:
    """Whether the token of `allocation` (id, trial_id, experiment_id, task_id) allows a call."""
    a, k = re.escape(allocation["id"]), re.escape(allocation["task_id"])
    t, e = allocation["trial_id"], allocation["experiment_id"]
    readable = (
        rf"/api/v1/(me|master)|/api/v1/experiments/{e}(/searcher/.*)?|/api/v1/trials/{t}(/.*)?"
        rf"|/api/v1/tasks/{k}/context_directory|(/api/v1)?/checkpoints/[^/]+|/api/v1/runs/{t}/metadata"
        rf"|/api/v1/allocations/{a}/.*"
    )
    writable = (
        rf"(/api/v1|/local)/allocations/{a}/.*|/api/v1/trials/{t}/(metrics|progress|early_exit|runner/metadata)"
        rf"|/api/v1/runs/(start|{t}/metadata)|/api/v1/checkpoints"
    )
    return method != "DELETE" and re.fullmatch(readable if method == "GET" else writable, path) is not None


def _may_see(db: Database, allocation: Row, path: str) -> bool:
    """Of checkpoints, those of the own experiment and the one that the trial starts from."""
    uuid = re.fullmatch("(?:/api/v1)?/checkpoints/([^/]+)", path)
    if uuid is None or uuid[1] == trials.get(db, allocation["trial_id"])["warm_start"]:
        return True
    held = "SELECT 1 FROM checkpoints JOIN trials ON trials.id = trial_id WHERE uuid = ? AND experiment_id = ?"
    return db.row(held, uuid[1], allocation["experiment_id"]) is not None
