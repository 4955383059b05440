"""Which test makes which call of the master: a pytest plugin, and the master with a recorder in front.

`python -m docs.coverage --measure` runs the suites with this plugin and the variable CALLS, a directory: the plugin
keeps the name of the running test in its file CURRENT (one a worker), and the recorder in every master that the tests
start adds `<test>\\t<METHOD> <route>` to its file RECORD for each call that is answered with success.  A trial's own
calls count for the test that ran when its experiment was first heard of, because they outlast it.
"""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localcluster.determined import __main__ as program
from localcluster.determined.app import application
from localcluster.determined.routes import ROUTES

PROGRAM = "tests.localcluster.determined.recording"
CALLS = "DETERMINED_CALLS"
CURRENT, RECORD = f"current {os.environ.get('PYTEST_XDIST_WORKER', '')}", "record"


def wanted() -> bool:
    """Whether calls shall be recorded."""
    return CALLS in os.environ


def pytest_runtest_logstart(nodeid: str) -> None:
    """Keep the name of the test that begins, without its parameters."""
    (Path(os.environ[CALLS]) / CURRENT).write_text(nodeid.partition("[")[0])


class Recorder:
    """Passes everything on, and notes what was answered with success."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._directory = Path(os.environ[CALLS])
        self._tests: dict[int, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                self._note(scope)
            await send(message)

        await self._app(scope, receive, noting)

    def _note(self, scope: Scope) -> None:
        test = (self._directory / CURRENT).read_text()
        caller = scope.get("state", {}).get("caller")
        if caller and caller.allocation:
            test = self._tests.setdefault(caller.allocation["experiment_id"], test)
        route = next((route for route in ROUTES if route.matches(scope)[0] is Match.FULL), None)
        if route is None:
            return
        with (self._directory / RECORD).open("a") as record:
            record.write(f"{test}\t{scope['method']} {route.path}\n")


def main() -> None:
    """Serve as `python -m localcluster.determined` does, with the recorder in front."""
    with patch.object(program, "application", lambda master: Recorder(application(master))):
        program.main()


if __name__ == "__main__":
    main()
