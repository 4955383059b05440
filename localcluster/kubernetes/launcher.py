"""Run the genuine seldon-core-microservice with its servers bound to 127.0.0.1 instead of 0.0.0.0; change nothing else.

Runs under the serving environment's Python (`python -P launcher.py FashionClassifier --service-type MODEL`), so it
imports nothing of localcluster.  REST and metrics (gunicorn) and the reservation of the gRPC port bind through Python's
`socket`, the gRPC server itself through `add_insecure_port`; there is no option for either in seldon-core 1.17.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from grpc import _server
from seldon_core.microservice import main

LOOPBACK = "127.0.0.1"
_EVERYWHERE = ("", "0.0.0.0")  # noqa: S104  (the addresses that are replaced)

_bind = socket.socket.bind
_add_insecure_port = _server._Server.add_insecure_port


def _bind_loopback(self: socket.socket, address: Any) -> None:
    if isinstance(address, tuple) and address[0] in _EVERYWHERE:
        address = (LOOPBACK, *address[1:])
    _bind(self, address)


def _add_loopback_port(self: Any, address: str) -> int:
    host, _, port = address.rpartition(":")
    return int(_add_insecure_port(self, f"{LOOPBACK if host in _EVERYWHERE else host}:{port}"))


if __name__ == "__main__":
    socket.socket.bind = _bind_loopback  # type: ignore[assignment,method-assign]
    _server._Server.add_insecure_port = _add_loopback_port  # type: ignore[method-assign]
    sys.argv[0] = "seldon-core-microservice"
    sys.exit(main())
