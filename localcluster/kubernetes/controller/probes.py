"""Startup, readiness and liveness probes: `httpGet` and `tcpSocket`, against the ports really listened on."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from localcluster.kubernetes.state.kinds import Object
from localcluster.settings import HOST

NOWHERE = 0
"""No port: nothing can listen on it."""


def check(probe: Object, port: int) -> str:
    """Carry out one probe on a port that `port_of` found; returns "" on success, else why it failed."""
    if port == NOWHERE:
        return f"no port of the container is called {_wanted(probe)!r}"
    timeout = float(probe.get("timeoutSeconds", 1))
    try:
        if "httpGet" not in probe:
            socket.create_connection((HOST, port), timeout).close()
            return ""
        wanted = probe["httpGet"]
        connection = _connection(wanted.get("scheme", "HTTP"), port, timeout)
        try:
            headers = {header["name"]: header["value"] for header in wanted.get("httpHeaders") or []}
            connection.request("GET", wanted.get("path", "/"), headers=headers)
            status = connection.getresponse().status
        finally:
            connection.close()
        return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{'HTTP' if 'httpGet' in probe else 'TCP'} probe of {HOST}:{port} failed: {error}"


def _connection(scheme: str, port: int, timeout: float) -> http.client.HTTPConnection:
    """As the kubelet does, a probe by HTTPS takes any certificate."""
    if scheme == "HTTP":
        return http.client.HTTPConnection(HOST, port, timeout=timeout)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(HOST, port, timeout=timeout, context=context)


def port_of(probe: Object, container: Object, ports: Mapping[str, int]) -> int | None:
    """The port of this machine that a probe means; NOWHERE for a name that there is not, None where there is no port.

    `ports` are those really listened on, by the container's own.  A number that is not declared was not moved.
    """
    wanted = _wanted(probe)
    if wanted is None:
        return next(iter(ports.values()), None)
    for each in container.get("ports") or []:
        if wanted in (each["containerPort"], each.get("name")):
            return ports.get(str(each["containerPort"]))
    return wanted if isinstance(wanted, int) else NOWHERE


def _wanted(probe: Object) -> Any:
    return (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
