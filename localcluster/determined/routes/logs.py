"""Log streams: one JSON object a line, pushed as the lines come, ended when the trial has ended.

Clients read with a large buffer and rely on chunks that end in a newline, so every chunk is whole lines.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from localcluster.determined import wire
from localcluster.determined.errors import InvalidArgument, Unavailable
from localcluster.determined.launcher import AGENT_ID
from localcluster.determined.master import Master
from localcluster.determined.routes.http import descending, flag, integer, key, master
from localcluster.determined.state import logs, trials
from localcluster.determined.state.database import Row, stamp
from localcluster.determined.state.experiments import TERMINAL


async def of_trial(request: Request) -> Response:
    """v1TrialLogsResponse, one a line."""
    trial = trials.get(master(request).db, key(request))
    wanted = _filter(request, trial)
    wanted.matches("")
    limit = integer(request, "limit") or 0
    if limit < 0:
        raise InvalidArgument("limit: must be >= 0")
    lines = _lines(
        master(request),
        trial,
        wanted,
        limit=limit,
        down=bool(descending(request)),
        follow=bool(flag(request, "follow")),
    )
    return StreamingResponse(lines, media_type="application/json")


async def _lines(
    found: Master, trial: Row, wanted: logs.Filter, *, limit: int, down: bool, follow: bool
) -> AsyncIterator[bytes]:
    past: int | None = None
    left = limit or None
    while True:
        ended = trials.get(found.db, trial["id"])["state"] in TERMINAL
        newest = logs.last_id(found.db, trial["id"])
        following: int | None = 0
        while following is not None:
            rows, following = logs.page(found.db, trial["id"], wanted, past=past, descending=down)
            rows = rows[:left]
            if rows:
                shaped = (wire.encode({"result": wire.log_line(row)}) for row in rows)
                yield b"\n".join(shaped) + b"\n"
            left = None if left is None else left - len(rows)
            past = following or past
            if left == 0:
                return
        if ended or not follow or down:
            return
        past = max(past or 0, newest, rows[-1]["id"] if rows else 0)
        if logs.last_id(found.db, trial["id"]) > past or trials.get(found.db, trial["id"])["state"] in TERMINAL:
            continue
        if found.hub.closing:
            error = Unavailable("the master is shutting down; the trial goes on after its next start")
            yield (
                wire.encode({"error": {"grpcCode": error.code, "httpCode": error.status, "message": str(error)}})
                + b"\n"
            )
            return
        await found.hub.wait(("logs", trial["id"]))


def _filter(request: Request, trial: Row) -> logs.Filter:
    query = request.query_params
    runs: list[str] | None = None
    if containers := query.getlist("containerIds"):
        known = trials.allocations(master(request).db, trial["id"])
        runs = [run["id"] for run in known if trials.container_id(run["id"]) in containers]
    if query.getlist("agentIds") and AGENT_ID not in query.getlist("agentIds"):
        runs = []
    try:
        ranks = [int(text) for text in query.getlist("rankIds")]
    except ValueError as error:
        raise InvalidArgument("rankIds: must be numbers") from error
    levels = [level.removeprefix("LOG_LEVEL_") for level in query.getlist("levels")]
    return logs.Filter(
        levels=["" if level == "UNSPECIFIED" else level for level in levels],
        stdtypes=query.getlist("stdtypes"),
        sources=query.getlist("sources"),
        ranks=ranks,
        allocations=runs,
        before=_moment(request, "timestampBefore"),
        after=_moment(request, "timestampAfter"),
        search=query.get("searchText", ""),
        regex=bool(flag(request, "enableRegex")),
    )


def _moment(request: Request, name: str) -> str:
    """Return a time of the query as the lines have it, because they are compared as text."""
    text = request.query_params.get(name, "")
    try:
        return stamp(datetime.fromisoformat(text)) if text else ""
    except ValueError as error:
        raise InvalidArgument(f"{name}: {text!r} is not an RFC 3339 time such as 2021-10-26T23:17:12Z") from error


ROUTES = [
    Route("/api/v1/trials/{id}/logs", of_trial),
]
