"""Log streams: one JSON object a line, pushed as the lines come, ended when the trial has ended.

Clients read with a large buffer and rely on chunks that end in a newline, so every chunk is whole lines.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from localcluster.determined import wire
from localcluster.determined.errors import InvalidArgument, Unavailable
from localcluster.determined.master import Master
from localcluster.determined.routes.http import allocation, answer, body, descending, field, flag, integer, key, master
from localcluster.determined.state import logs, trials
from localcluster.determined.state.database import Row, now
from localcluster.determined.state.experiments import TERMINAL


async def of_trial(request: Request) -> Response:
    """Stream the lines of one trial."""
    return _stream(request, trials.get(master(request).db, key(request)))


async def of_task(request: Request) -> Response:
    """Stream the lines of one task, which is a trial."""
    return _stream(request, trials.of_task(master(request).db, request.path_params["task"]))


def _stream(request: Request, trial: Row) -> Response:
    wanted = _filter(request, trial)
    wanted.matches("")
    lines = _lines(
        master(request),
        trial,
        wanted,
        limit=integer(request, "limit") or 0,
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
                shaped = (wire.encode({"result": wire.log_line(row, trial["task_id"])}) for row in rows)
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
    containers = query.getlist("containerIds")
    runs = [row["id"] for row in trials.allocations(master(request).db, trial["id"])]
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
        allocations=[run for run in runs if trials.container_id(run) in containers] or (["-"] if containers else []),
        before=query.get("timestampBefore", ""),
        after=query.get("timestampAfter", ""),
        search=query.get("searchText", ""),
        regex=bool(flag(request, "enableRegex")),
    )


async def post(request: Request) -> Response:
    """Lines from a shipper inside the trial (our agent's lines come from its spool)."""
    mine = allocation(request)
    found = master(request)
    lines = [
        logs.Line(
            timestamp=entry.get("timestamp") or now(),
            log=str(entry.get("log", "")),
            level=str(entry.get("level") or "").removeprefix("LOG_LEVEL_").removesuffix("UNSPECIFIED"),
            rank=entry.get("rank_id"),
            stdtype=entry.get("stdtype") or "stdout",
            source=entry.get("source") or "task",
        )
        for entry in field(await body(request), "logs", list)
    ]
    with found.db.transaction():
        logs.append(found.db, mine["trial_id"], mine["id"], lines)
    found.hub.tell(("logs", mine["trial_id"]))
    return answer()


ROUTES = [
    Route("/api/v1/trials/{id}/logs", of_trial),
    Route("/api/v1/tasks/{task}/logs", of_task),
    Route("/api/v1/task/logs", post, methods=["POST"]),
]
