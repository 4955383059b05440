"""What the supervisor needs to know of pachd, and what its genuine clients need to find it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import grpc

from localcluster.files import secret, write_atomically
from localcluster.services import Service
from localcluster.settings import HOST, Settings

CONTEXT = "local"

SERVING = b"\x08\x01"
"""A grpc.health.v1.HealthCheckResponse that says SERVING."""


def prepare(settings: Settings) -> None:
    """Create the secret, the state directory and the clients' configuration file."""
    (settings.home / "pachyderm").mkdir(parents=True, exist_ok=True, mode=0o700)
    context = {"pachd_address": _address(settings), "session_token": token(settings), "project": "default"}
    config = {"user_id": "local", "v2": {"active_context": CONTEXT, "contexts": {CONTEXT: context}, "metrics": False}}
    path = settings.home / "pachyderm" / "config.json"
    content = json.dumps(config, indent=2) + "\n"
    if not _serves(path, context):
        write_atomically(path, content, mode=0o600)


def _serves(path: Path, context: dict[str, str]) -> bool:
    """Whether the file serves as it is; pachctl adds fields of its own, which stay, and may tear it when killed."""
    try:
        found = json.loads(path.read_text())["v2"]["contexts"][CONTEXT]
        return all(found.get(key) == value for key, value in context.items() if key != "project")
    except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
        return False


def token(settings: Settings) -> str:
    """The secret that every call carries."""
    return secret(settings.home / "secrets" / "pachyderm")


def _address(settings: Settings) -> str:
    return f"grpc://{HOST}:{settings.pachyderm_port}"


def services(settings: Settings) -> list[Service]:
    """pachd, one process."""
    return [
        Service(
            name="pachyderm",
            title="Pachyderm",
            argv=(sys.executable, "-m", "localcluster.pachyderm"),
            address=_address(settings),
            port=settings.pachyderm_port,
            port_variable="LOCALCLUSTER_PACHYDERM_PORT",
            ready=lambda: ready(settings),
        )
    ]


def ready(settings: Settings, timeout: float = 1.5) -> bool:
    """Whether pachd answers its health check within `timeout` seconds."""
    options = [("grpc.enable_http_proxy", 0)]  # a proxy in the environment has nothing to do with the loopback
    with grpc.insecure_channel(f"{HOST}:{settings.pachyderm_port}", options) as channel:
        try:
            check = channel.unary_unary("/grpc.health.v1.Health/Check", bytes, bytes)
            return bool(check(b"", timeout=timeout) == SERVING)
        except grpc.RpcError:
            return False


def client_environment(settings: Settings) -> dict[str, str]:
    """`PACH_CONFIG`, which pachctl and the SDK read."""
    prepare(settings)
    return {"PACH_CONFIG": str(settings.home / "pachyderm" / "config.json")}
