"""A Pod's own port through the API server, as kubectl asks for it."""

from __future__ import annotations

import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from unittest import mock

import pytest
from starlette.requests import Request

from localcluster.kubernetes.api import proxy
from localcluster.kubernetes.controller.pods import PORTS_ANNOTATION
from localcluster.settings import HOST
from tests.localcluster.kubernetes.cluster import Cluster, manifest

pytestmark = pytest.mark.slow


def test_a_pods_port_answers_through_the_api_server(cluster: Cluster) -> None:
    cluster.apply(manifest("proxied", "fast:v1"))
    cluster.available("proxied")
    pod = cluster.pods("proxied")[0]["metadata"]["name"]
    pods = "/api/v1/namespaces/default/pods"
    answer = json.loads(cluster.run("get", "--raw", f"{pods}/{pod}:9000/proxy/some/path?a=b").stdout)
    assert (answer["label"], answer["path"]) == ("v1", "/some/path?a=b")
    assert json.loads(cluster.run("get", "--raw", f"{pods}/{pod}/proxy/first").stdout)["path"] == "/first"
    posted = cluster.run("create", "--raw", f"{pods}/{pod}:9000/proxy/x", "-f", "-", stdin="{}")
    assert json.loads(posted.stdout)["path"] == "/x"
    for path, words in (
        (f"{pod}:1234/proxy/x", "listens on the ports 6000, 9000, 9500, not 1234"),
        (f"{pod}:6000/proxy/x", "error trying to reach service"),
        ("nobody:9000/proxy/x", 'pods "nobody" not found'),
        (f"{pod}:http/proxy/x", "give its number"),
    ):
        refused = cluster.run("get", "--raw", f"{pods}/{path}", check=False)
        assert refused.returncode == 1
        assert words in refused.stderr
    cluster.run("delete", "sdep", "proxied")


class Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody to another address."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.headers["Accept"])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


async def nothing() -> dict[str, Any]:
    """The body of a GET."""
    return {"type": "http.request", "body": b"", "more_body": False}


def test_a_redirection_is_the_clients_to_follow() -> None:
    with ThreadingHTTPServer((HOST, 0), Elsewhere) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        port = listening.server_address[1]
        metadata = {"name": "p", "annotations": {PORTS_ANNOTATION: json.dumps({"9000": port})}}
        store = mock.Mock()
        store.get.return_value = {"metadata": metadata, "spec": {"containers": [{"ports": [{"containerPort": 9000}]}]}}
        target = f"http://{HOST}:{port}/again"
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": [(b"accept", target.encode())],
        }
        scope["path_params"] = {"namespace": "n", "pod": "p:9000", "path": "x"}
        answer = asyncio.run(proxy.forward(store, Request(scope, nothing)))
        listening.shutdown()
    assert (answer.status_code, answer.headers["location"]) == (302, target)
