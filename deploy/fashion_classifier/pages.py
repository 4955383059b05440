"""The pages of the served model: Swagger's of its OpenAPI document, and one to try it with pictures.

Everything that they load lies beside them: no third-party host.  All links are relative, since the ingress serves
them under /seldon/<namespace>/<name>/.
"""

from __future__ import annotations

import mimetypes
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request, send_from_directory
from swagger_ui_bundle import swagger_ui_path
from werkzeug.exceptions import NotFound

from . import openapi

if TYPE_CHECKING:
    from FashionClassifier import FashionClassifier

DOC = "/api/v1.0/doc/"
_DOCUMENT = ("openapi.json", "seldon.json")
"""The second is the executor's name for it."""
_SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_CONTENT_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'"


def blueprint(model: FashionClassifier) -> Blueprint:
    """The routes below DOC, and redirects to them from where a browser is likely to be sent."""
    pages = Blueprint("pages", __name__)
    own = {file.name: file.read_bytes() for file in files(__package__).joinpath("pages").iterdir()}

    @cache
    def document() -> dict[str, Any]:
        answer = model.predict_raw({**openapi.example_request(), "meta": {"puid": "3f0c1e6a9b7d4c52"}})
        # Times differ from one worker to the next; the document must not.
        answer["meta"].pop("metrics", None)
        return openapi.document(model.artifact, answer)

    def page(name: str = "index.html") -> Response:
        if name in own:
            return _own(name, own[name])
        if name in _DOCUMENT:
            return jsonify(document())
        if name in _SWAGGER:
            return send_from_directory(swagger_ui_path, name, max_age=86400)
        raise NotFound

    pages.add_url_rule(DOC, "doc", page)
    pages.add_url_rule(DOC + "<name>", "page", page)
    for path, location in (
        ("/", f".{DOC}try.html"),
        (DOC.rstrip("/"), "doc/"),
        ("/seldon.json", f".{DOC}openapi.json"),
    ):
        pages.add_url_rule(path, "redirect", _redirect, defaults={"location": location})
    return pages


def _own(name: str, content: bytes) -> Response:
    """A file of ours, with an ETag of its content: in an image all files have the same time."""
    response = Response(content, mimetype=mimetypes.guess_type(name)[0])
    response.headers["Content-Security-Policy"] = _CONTENT_POLICY
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


def _redirect(location: str) -> Response:
    return Response(status=308, headers={"Location": location})
