"""What Seldon's executor would add, for a deployment without one: a blueprint beside the wrapper's own routes.

Registered through the wrapper's `model_error_handler`, the hook by which Seldon's Flask app takes a blueprint.
It adds the executor's paths, the Seldon-Puid header, nosniff, Seldon's error shape for every refusal, and the
Swagger page of this model.  All links are relative: the ingress serves it under /seldon/<namespace>/<name>/.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, current_app, g, jsonify, request, send_from_directory
from flask.blueprints import BlueprintSetupState
from swagger_ui_bundle import swagger_ui_path
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from . import body, envelope, openapi
from .errors import BadInput

if TYPE_CHECKING:
    from FashionClassifier import FashionClassifier

_DOC = "/api/v1.0/doc/"
_ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_READING = ("Predict", "SendFeedback")
_OTHER_NODE_TYPES = ("TransformInput", "TransformOutput", "Route", "Aggregate")
_POST_ONLY = tuple(f"/api/{version}/{name}" for version in ("v1.0", "v0.1") for name in ("predictions", "feedback"))
_CONTENT_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'"

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fashion-classifier: API</title>
<link rel="icon" type="image/png" href="favicon-32x32.png">
<link rel="stylesheet" href="swagger-ui.css">
<div id="page"></div>
<script src="swagger-ui-bundle.js"></script>
<script src="start.js"></script>
</html>
"""

_START = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null, tryItOutEnabled: true,
});
"""


def blueprint(model: FashionClassifier) -> Blueprint:
    """The blueprint that completes Seldon's Flask app for `model`."""
    service = Blueprint("service", __name__)
    service.record_once(_configure)
    service.before_app_request(_before_request)
    service.after_app_request(_after_request)
    service.app_errorhandler(BadInput)(_bad_input)
    service.app_errorhandler(HTTPException)(_http_error)
    for version in ("v1.0", "v0.1"):
        service.add_url_rule(f"/api/{version}/status", "status", _health, methods=["GET"])
        service.add_url_rule(f"/api/{version}/status/<unit>", "unit_status", _health, methods=["GET"])
        service.add_url_rule(f"/api/{version}/metadata/<unit>", "unit_metadata", _metadata, methods=["GET"])
    service.add_url_rule("/api/v0.1/metadata", "metadata", _metadata, methods=["GET"])
    service.add_url_rule("/api/v0.1/health/status", "health", _health, methods=["GET"])
    service.add_url_rule("/ready", "ready", _health, methods=["GET"])
    service.add_url_rule("/live", "live", _alive, methods=["GET"])
    _add_documentation(service, model)
    return service


def status(message: str, reason: str = "MICROSERVICE_BAD_DATA") -> dict[str, Any]:
    """Seldon's error body, as `SeldonMicroserviceException.to_dict` writes it."""
    return {"status": {"status": 1, "info": message, "code": -1, "reason": reason}}


def _configure(state: BlueprintSetupState) -> None:
    body.install(state.app if isinstance(state.app, Flask) else current_app)


def _before_request() -> None:
    if request.endpoint in _OTHER_NODE_TYPES:
        raise NotFound("this node is a MODEL: it serves predictions and feedback")
    if request.endpoint == "static" and request.path in _POST_ONLY:
        raise MethodNotAllowed(["POST", "OPTIONS"], "send it with POST; the documentation is at /api/v1.0/doc/")
    if request.endpoint not in _READING or request.method == "OPTIONS":
        return
    puid = request.headers.get("Seldon-Puid")
    g.puid = puid if envelope.is_puid(puid) and puid else envelope.new_puid()
    body.check_size()
    body.check_form()
    if request.endpoint == "SendFeedback":
        body.check_feedback()


def _after_request(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    if "puid" in g:
        response.headers["Seldon-Puid"] = g.puid
        response.headers["Access-Control-Expose-Headers"] = "Seldon-Puid"
    return response


def _bad_input(error: BadInput) -> tuple[Response, int]:
    return jsonify(status(str(error))), 400


def _http_error(error: HTTPException) -> Any:
    """Flask's own refusals in Seldon's shape; Seldon's handler would make each of them a 500."""
    if error.code is None or error.code < 400:
        return error
    headers = [header for header in error.get_headers() if header[0].lower() not in ("content-type", "content-length")]
    reason = (
        "MICROSERVICE_BAD_DATA" if error.code in (400, 413) else "MICROSERVICE_" + error.name.upper().replace(" ", "_")
    )
    return jsonify(status(error.description or error.name, reason)), error.code, headers


def _check_unit(unit: str | None) -> None:
    known = os.environ.get("PREDICTIVE_UNIT_ID")
    if unit and known and unit != known:
        raise NotFound(f"there is no unit {unit!r}; this one is {known!r}")


def _health(unit: str | None = None) -> Any:
    _check_unit(unit)
    return current_app.view_functions["HealthStatus"]()


def _metadata(unit: str | None = None) -> Any:
    _check_unit(unit)
    return current_app.view_functions["Metadata"]()


def _alive() -> Any:
    return current_app.view_functions["HealthPing"]()


def _add_documentation(service: Blueprint, model: FashionClassifier) -> None:
    @cache
    def document() -> dict[str, Any]:
        answer = model.predict_raw({**openapi.example_request(), "meta": {"puid": "3f0c1e6a9b7d4c52"}})
        return openapi.document(model.artifact, answer)

    service.add_url_rule(_DOC, "doc", lambda: _text(_PAGE, "text/html"))
    service.add_url_rule(_DOC.rstrip("/"), "doc_redirect", lambda: Response(status=308, headers={"Location": "doc/"}))
    service.add_url_rule(_DOC + "start.js", "doc_start", lambda: _text(_START, "text/javascript"))
    service.add_url_rule(_DOC + "openapi.json", "openapi", lambda: jsonify(document()))
    for asset in _ASSETS:
        service.add_url_rule(_DOC + asset, "doc_" + asset.replace(".", "_"), _asset, defaults={"asset": asset})


def _asset(asset: str) -> Response:
    return send_from_directory(swagger_ui_path, asset, max_age=86400)


def _text(content: str, media_type: str) -> Response:
    return Response(content, mimetype=media_type, headers={"Content-Security-Policy": _CONTENT_POLICY})
