"""Where the client's token may go, and that a gateway which points elsewhere is told of instead of followed."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from deploy.release import ingress
from deploy.release.errors import PredictError


@pytest.mark.parametrize("url", ["http://192.0.2.1", "http://localhost.example.com:8003", "HTTP://192.0.2.1"])
def test_a_token_leaves_this_machine_through_tls_only(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGRESS_URL", url)
    assert ingress.address() == url
    monkeypatch.setenv("INGRESS_TOKEN", "s3cret")
    with pytest.raises(PredictError, match="in clear text; set INGRESS_URL") as refused:
        ingress.address()
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["https://192.0.2.1", "http://127.0.0.1:8003", "http://[::1]:80", "http://localhost"])
def test_a_token_may_travel_there(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGRESS_URL", url)
    monkeypatch.setenv("INGRESS_TOKEN", "s3cret")
    assert ingress.address() == url


def test_a_redirect_is_told_and_not_followed() -> None:
    class Redirects(BaseHTTPRequestHandler):
        asked: ClassVar[list[str]] = []

        def do_POST(self) -> None:
            self.asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(301)
            self.send_header("Location", "https://fashion.example.com/predictions")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirects) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(
                PredictError, match=r"points to https://fashion\.example\.com/predictions; set INGRESS_URL"
            ):
                ingress.predict(f"http://127.0.0.1:{server.server_port}", {})
        finally:
            server.shutdown()
            thread.join()
    assert Redirects.asked == ["/predictions"]
