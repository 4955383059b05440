"""The Istio ingress as a client sees it: where it is, and one prediction through it."""

from __future__ import annotations

import os
from contextlib import nullcontext
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests

from deploy.release import kubectl
from deploy.release.errors import PredictError
from deploy.release.manifest import NAME

_PORTS = ("http2", "http")


def address() -> str:
    """`http://host:port` of the ingress gateway: `$INGRESS_URL`, else what its Service says.  Raises ReleaseError.

    A token goes through TLS or stays on this machine.
    """
    url = (os.environ.get("INGRESS_URL") or _of_the_service()).rstrip("/")
    parts = urlsplit(url)
    if os.environ.get("INGRESS_TOKEN") and parts.scheme != "https" and not _is_loopback(parts.hostname):
        raise PredictError(
            f"INGRESS_TOKEN would travel to {url} in clear text; set INGRESS_URL to the gateway's https:// address"
        )
    return url


def _is_loopback(host: str | None) -> bool:
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def _of_the_service() -> str:
    service = kubectl.get("service", "istio-ingressgateway", "-n", "istio-system")
    entries = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    ports = {port.get("name"): port["port"] for port in service["spec"]["ports"]}
    port = next((ports[name] for name in _PORTS if name in ports), None)
    if not entries or port is None:
        raise PredictError(
            "the Service istio-ingressgateway has no address; see kubectl get svc -n istio-system, or set INGRESS_URL"
        )
    return f"http://{entries[0].get('ip') or entries[0]['hostname']}:{port}"


def base_url(namespace: str = "default") -> str:
    """Where the model is served; `/predictions` and `/doc/` follow.  Raises ReleaseError."""
    return f"{address()}/seldon/{namespace}/{NAME}/api/v1.0"


def session() -> requests.Session:
    """Connections to the ingress, with the token that `$INGRESS_TOKEN` holds where the gateway asks for one."""
    opened = requests.Session()
    if token := os.environ.get("INGRESS_TOKEN"):
        opened.headers["Authorization"] = f"Bearer {token}"
    return opened


def predict(base: str, message: Any, timeout: float = 30, connections: requests.Session | None = None) -> Any:
    """The answer to one Seldon message, over `connections` if given.  Raises PredictError with the server's words."""
    url = f"{base}/predictions"
    try:
        with nullcontext(connections) if connections else session() as opened:
            response = opened.post(url, json=message, timeout=timeout, allow_redirects=False)
        answer = response.json() if response.ok and not response.is_redirect else None
    except requests.JSONDecodeError as error:
        raise PredictError(f"{url} answered no JSON: {error}") from error
    except requests.RequestException as error:
        raise PredictError(f"{url} cannot be reached: {error}; run make up and make deploy") from error
    if response.is_redirect:
        # Following it would turn the POST into a GET.
        target = response.headers["Location"]
        raise PredictError(f"{url} points to {target}; set INGRESS_URL to scheme and host of that address")
    if answer is None:
        hint = "; nothing is deployed there, run make deploy" if response.status_code == 404 else ""
        raise PredictError(f"{url} answered {response.status_code}: {_words(response)}{hint}")
    return answer


def _words(response: requests.Response) -> str:
    try:
        return str(response.json()["status"]["info"])
    except (ValueError, KeyError, TypeError):
        return response.text.strip()[:300] or response.reason
