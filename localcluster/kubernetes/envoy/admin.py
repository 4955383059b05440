"""Questions to the running Envoy, through its admin interface (loopback, reading paths only)."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

ADDRESS_FILE = "admin.address"
TIMEOUT_SECONDS = 1.0


def is_ready(directory: Path) -> bool:
    """Whether Envoy has loaded its listeners and serves."""
    answer = _get(directory, "/ready")
    return answer is not None and answer.strip() == b"LIVE"


def endpoints(directory: Path) -> dict[str, set[int]] | None:
    """Cluster -> ports it sends to; None if Envoy does not answer."""
    answer = _get(directory, "/clusters?format=json")
    if answer is None:
        return None
    found: list[dict[str, Any]] = json.loads(answer).get("cluster_statuses", [])
    return {
        each["name"]: {host["address"]["socket_address"]["port_value"] for host in each.get("host_statuses", [])}
        for each in found
    }


def routes_version(directory: Path) -> str:
    """The version of the route file that Envoy has taken last; "" if it has none or does not answer."""
    answer = _get(directory, "/stats?format=json&type=TextReadouts&filter=rds.ingress.version_text")
    found = json.loads(answer or b"{}").get("stats", [])
    return str(found[0]["value"]) if found else ""


def _get(directory: Path, path: str) -> bytes | None:
    try:
        host, _, port = (directory / ADDRESS_FILE).read_text().strip().rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException):
        return None
    return body if response.status == 200 else None
