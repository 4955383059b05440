"""`python -m localcluster.kubernetes [api|ingress]`: one service in the foreground, settings from the environment."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool

from localcluster.files import secret
from localcluster.kubernetes import service
from localcluster.kubernetes.api.app import create_app
from localcluster.kubernetes.api.watch import Hub
from localcluster.kubernetes.controller.manager import Manager
from localcluster.kubernetes.layout import Layout
from localcluster.kubernetes.seed import seed
from localcluster.kubernetes.state.admission import admit
from localcluster.kubernetes.state.store import Store
from localcluster.settings import HOST, Settings


def serve_api(settings: Settings) -> None:
    """Run API and controllers until SIGTERM; then end the containers gracefully."""
    layout = Layout(settings.home)
    store = Store(layout.database, admit)
    seed(store, settings.ingress_port)
    manager = Manager(store, layout, settings.serving_environment)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.hub = Hub()
        store.listen(app.state.hub.notify)
        await run_in_threadpool(manager.start)
        yield
        await run_in_threadpool(manager.stop)

    # uvicorn raises the signal again when it is done; leaving then with the default handler would look like a crash
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(
        create_app(store, layout, secret(layout.token), lifespan),
        host=HOST,
        port=settings.kubernetes_port,
        ssl_certfile=layout.pki / "server.crt",
        ssl_keyfile=layout.pki / "server.key",
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    store.close()


def main() -> None:
    """Prepare, then run the service named in the first argument."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings.from_environment()
    service.prepare(settings)
    if sys.argv[1:] == ["ingress"]:
        command = service.envoy_command(settings)
        os.execv(command[0], command)  # noqa: S606  (an argument list of our own)
    serve_api(settings)


if __name__ == "__main__":
    main()
