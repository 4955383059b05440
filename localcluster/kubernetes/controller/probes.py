"""Startup, readiness and liveness probes: `httpGet` and `tcpSocket`, against the ports really listened on."""

from __future__ import annotations

import http.client
import socket
from typing import Any

from localcluster.kubernetes.state.kinds import Object
from localcluster.settings import HOST


def check(probe: Object, port: int) -> str:
    """Carry out one probe; returns "" on success, else why it failed."""
    timeout = float(probe.get("timeoutSeconds", 1))
    try:
        if "httpGet" not in probe:
            socket.create_connection((HOST, port), timeout).close()
            return ""
        connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
        try:
            wanted = probe["httpGet"]
            headers = {header["name"]: header["value"] for header in wanted.get("httpHeaders") or []}
            connection.request("GET", wanted.get("path", "/"), headers=headers)
            status = connection.getresponse().status
        finally:
            connection.close()
        return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{'HTTP' if 'httpGet' in probe else 'TCP'} probe of {HOST}:{port} failed: {error}"


def declared_port(probe: Object, container: Object) -> Any:
    """The container port that a probe means, by number or by name; None if it names none."""
    port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
    ports = container.get("ports") or []
    return next((each["containerPort"] for each in ports if port in (each["containerPort"], each.get("name"))), None)
