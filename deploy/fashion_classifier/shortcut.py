"""Answers plain JSON predictions before Flask sees them: the same answer, without the half millisecond of its context.

Only what succeeds ends here.  Whatever Flask's way would read otherwise goes there at once, and so does every request
that is refused, its body put back, so that no refusal has two sources.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask
from seldon_core import seldon_methods

from . import body, counters, envelope

if TYPE_CHECKING:
    from FashionClassifier import FashionClassifier

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers = Callable[[str, Iterable[str]], dict[str, str]]

METHODS = ("OPTIONS", "POST")
PATHS = ("/api/v1.0/predictions", "/api/v0.1/predictions")
_OTHERWISE_READ = ("HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING")


class Shortcut:
    """WSGI middleware (PEP 3333) in front of Flask's."""

    def __init__(self, app: Flask, model: FashionClassifier, headers: Headers) -> None:
        """`headers` gives what every answer carries, from its puid and the methods of its path."""
        self._app, self._model, self._headers = app, model, headers
        self._flask: Application = app.wsgi_app
        self._hooks = _hooks(app)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        # Tracing, as any other extension, sees requests through Flask's hooks.
        if not _is_plain(environ) or _hooks(self._app) != self._hooks:
            return self._flask(environ, start_response)
        content = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        try:
            answer = self._predict(content, environ.get("HTTP_SELDON_PUID"))
        except Exception:  # noqa: BLE001 - whatever it is, it comes again there, and is answered and counted there
            environ["wsgi.input"] = io.BytesIO(content)
            return self._flask(environ, start_response)
        written = body.encode(answer)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(written))}
        start_response("200 OK", [*sent.items(), *self._headers(answer["meta"]["puid"], METHODS).items()])
        return [written]

    def _predict(self, content: bytes, puid: str | None) -> dict[str, Any]:
        message = body.decode(content)
        if puid and isinstance(message, dict) and envelope.is_puid(puid):
            meta = message.get("meta")
            if meta is None:
                message["meta"] = {"puid": puid}
            elif isinstance(meta, dict) and not meta.get("puid"):
                meta["puid"] = puid
        answer: dict[str, Any] = seldon_methods.predict(self._model, message, counters.MappedMetrics.current)
        return answer


def install(app: Flask, model: FashionClassifier, headers: Headers) -> None:
    """Put the shortcut in front of `app`, whose own hooks are there already."""
    app.wsgi_app = Shortcut(app, model, headers)  # type: ignore[method-assign]


def _is_plain(environ: Environ) -> bool:
    length = environ.get("CONTENT_LENGTH", "")
    return (
        environ["REQUEST_METHOD"] == "POST"
        and environ["PATH_INFO"] in PATHS
        and environ.get("CONTENT_TYPE", "").lower() == "application/json"
        and not environ.get("QUERY_STRING")
        and length.isdecimal()
        and int(length) <= body.MAX_BODY
        and not any(name in environ for name in _OTHERWISE_READ)
    )


def _hooks(app: Flask) -> int:
    return len(app.before_request_funcs[None]) + len(app.after_request_funcs[None])
