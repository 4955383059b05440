"""Log streams: one JSON object a line, pushed as the lines come, ended when the trial has ended.

Clients read with a large buffer and rely on chunks that end in a newline, so every chunk is whole lines.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from starlette.responses import Response, StreamingResponse

from localcluster.determined import wire
from localcluster.determined.errors import InvalidArgument, Unavailable
from localcluster.determined.launcher import AGENT_ID
from localcluster.determined.master import Master
from localcluster.determined.routes.http import Call, served
from localcluster.determined.state import logs, trials
from localcluster.determined.state.database import Row, stamp
from localcluster.determined.state.experiments import TERMINAL


def of_trial(call: Call) -> Response:
    """v1TrialLogsResponse, one a line."""
    trial, limit = trials.get(call.db, call.key()), call.integer("limit")
    wanted = _filter(call, trial)
    wanted.matches("")
    if limit < 0:
        raise InvalidArgument("limit: must be >= 0")
    down, follow = bool(call.descending), bool(call.flag("follow"))
    lines = _lines(call.master, trial, wanted, limit=limit, down=down, follow=follow)
    return StreamingResponse(lines, media_type="application/json")


async def _lines(
    found: Master, trial: Row, wanted: logs.Filter, *, limit: int, down: bool, follow: bool
) -> AsyncIterator[bytes]:
    past: int | None = None
    left = limit or None
    while True:
        ended = trials.get(found.db, trial["id"])["state"] in TERMINAL
        rows, last = logs.page(found.db, trial["id"], wanted, past=past, descending=down)
        if rows:
            yield b"".join(wire.encode({"result": wire.log_line(row)}) + b"\n" for row in rows[:left])
        if left is not None and (left := left - len(rows)) <= 0:
            return
        if last is not None:
            past = last
            await asyncio.sleep(0)  # others get their turn while a search goes through a long log
        elif ended or not follow or down:
            return
        elif found.hub.closing:
            error = Unavailable("the master is shutting down; the trial goes on after its next start")
            shown = {"grpcCode": error.code, "httpCode": error.status, "message": str(error)}
            yield wire.encode({"error": shown}) + b"\n"
            return
        else:
            await found.hub.wait(("logs", trial["id"]))


def _filter(call: Call, trial: Row) -> logs.Filter:
    query = call.query
    levels = [level.removeprefix("LOG_LEVEL_").replace("UNSPECIFIED", "") for level in query.getlist("levels")]
    sources, stdtypes, containers, agents = map(query.getlist, ("sources", "stdtypes", "containerIds", "agentIds"))
    given: dict[str, list[Any]] = {
        "level": levels,
        "stdtype": stdtypes,
        "source": sources,
        "rank": call.integers("rankIds"),
    }
    chosen = {column: values for column, values in given.items() if values}
    if containers or agents:
        runs = [run["id"] for run in trials.allocations(call.db, trial["id"])]
        chosen["allocation_id"] = [
            run
            for run in runs
            if (not containers or trials.container_id(run) in containers) and (not agents or AGENT_ID in agents)
        ]
    return logs.Filter(
        chosen,
        before=_moment(call, "timestampBefore"),
        after=_moment(call, "timestampAfter"),
        search=query.get("searchText", ""),
        regex=bool(call.flag("enableRegex")),
    )


def _moment(call: Call, name: str) -> str:
    """Return a time of the query as the lines have it, because they are compared as text."""
    text = call.query.get(name, "")
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        return stamp(moment)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"{name}: {text!r} is not an RFC 3339 time such as 2021-10-26T23:17:12Z") from error


ROUTES = served({"GET /api/v1/trials/{id}/logs": of_trial})
