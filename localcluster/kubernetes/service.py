"""What the supervisor starts for Kubernetes: the API with its controllers, and Envoy as the Istio ingress."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys

from localcluster.files import secret, write_atomically
from localcluster.kubernetes import tools
from localcluster.kubernetes.envoy import admin, bootstrap, files, translate
from localcluster.kubernetes.layout import Layout
from localcluster.kubernetes.tls import ensure_certificates
from localcluster.services import Service
from localcluster.settings import HOST, Settings


def prepare(settings: Settings) -> None:
    """Certificates, token, kubeconfig, Envoy's files; what is there and right stays."""
    layout = Layout(settings.home)
    write_kubeconfig(settings)
    layout.images.mkdir(parents=True, exist_ok=True)
    layout.access_log.parent.mkdir(parents=True, exist_ok=True)
    directory = layout.envoy
    write_atomically(directory / "bootstrap.json", json.dumps(bootstrap.bootstrap(directory), indent=1))
    listener = bootstrap.listener(directory, settings.ingress_port, layout.access_log)
    files.write(directory, translate.LISTENERS_FILE, listener)
    if not (directory / translate.ROUTES_FILE).exists():
        files.write(directory, translate.CLUSTERS_FILE)
        files.write(directory, translate.ROUTES_FILE, translate.routes([]))


def services(settings: Settings) -> list[Service]:
    """The API first: it writes what Envoy reads."""
    layout = Layout(settings.home)
    return [
        Service(
            name="kubernetes",
            title="Kubernetes API",
            argv=(sys.executable, "-m", "localcluster.kubernetes"),
            address=_address(settings),
            port=settings.kubernetes_port,
            port_variable="LOCALCLUSTER_KUBERNETES_PORT",
            ready=lambda: _api_ready(settings),
        ),
        Service(
            name="ingress",
            title="Istio ingress (Envoy)",
            argv=envoy_command(settings),
            address=f"http://{HOST}:{settings.ingress_port}",
            port=settings.ingress_port,
            port_variable="LOCALCLUSTER_INGRESS_PORT",
            ready=lambda: admin.is_ready(layout.envoy),
        ),
    ]


def client_environment(settings: Settings) -> dict[str, str]:
    """How kubectl finds the API."""
    return {"KUBECONFIG": str(write_kubeconfig(settings))}


def envoy_command(settings: Settings) -> tuple[str, ...]:
    """Envoy with one worker (a second one would compete with the models for the cores); strict about its files."""
    directory = Layout(settings.home).envoy
    return (
        str(tools.envoy()),
        *("-c", str(directory / "bootstrap.json")),
        *("--admin-address-path", str(directory / admin.ADDRESS_FILE)),
        *("--concurrency", "1", "--use-dynamic-base-id", "--reject-unknown-dynamic-fields"),
        *("--log-level", "warning", "--file-flush-interval-msec", "1000", "--drain-time-s", "5"),
    )


def write_kubeconfig(settings: Settings) -> str:
    """Write the client's configuration (0600, with the token in it); returns its path."""
    layout = Layout(settings.home)
    ensure_certificates(layout.pki)
    authority = base64.b64encode((layout.pki / "ca.crt").read_bytes()).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "local", "cluster": {"server": _address(settings), "certificate-authority-data": authority}}
        ],
        "users": [{"name": "local", "user": {"token": secret(layout.token)}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local", "namespace": "default"}}],
        "current-context": "local",
    }
    text = json.dumps(content, indent=2) + "\n"
    if not layout.kubeconfig.exists() or layout.kubeconfig.read_text() != text:
        write_atomically(layout.kubeconfig, text, mode=0o600)
    return str(layout.kubeconfig)


def _address(settings: Settings) -> str:
    return f"https://{HOST}:{settings.kubernetes_port}"


def _api_ready(settings: Settings) -> bool:
    authority = Layout(settings.home).pki / "ca.crt"
    try:
        context = ssl.create_default_context(cafile=str(authority))
        connection = http.client.HTTPSConnection(HOST, settings.kubernetes_port, timeout=1, context=context)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False
