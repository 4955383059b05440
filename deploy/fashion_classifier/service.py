"""What Seldon's executor would add, for a deployment without one: a blueprint beside the wrapper's own routes.

Registered through the wrapper's `model_error_handler`, the hook by which Seldon's Flask app takes a blueprint.
Its rules come before the wrapper's, so that `/api/v1.0/metadata` describes the graph, as the executor's does.
Paths and headers are those of the executor 1.17 (`executor/api/rest/server.go` and `middlewares.go`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, current_app, g, jsonify, request
from flask.blueprints import BlueprintSetupState
from flask_cors.core import FLASK_CORS_EVALUATED
from werkzeug.exceptions import NotFound
from werkzeug.routing import RequestRedirect

from . import body, counters, envelope, metrics, pages, refusals, shortcut

if TYPE_CHECKING:
    from FashionClassifier import FashionClassifier

_READING = {"Predict": "predict", "SendFeedback": "feedback"}
"""Seldon's endpoints that read a message, and what its metrics call them."""

_OTHER_NODE_TYPES = ("TransformInput", "TransformOutput", "Route", "Aggregate")
_ALLOWED_HEADERS = "Accept, Accept-Encoding, Authorization, Content-Length, Content-Type, Seldon-Puid, X-CSRF-Token"
"""The executor's default, and the header that it reads itself."""


def blueprint(model: FashionClassifier) -> Blueprint:
    """The blueprint that completes Seldon's Flask app for `model`."""
    service = Blueprint("service", __name__)
    service.record_once(lambda state: _configure(_app(state)))
    service.before_app_request(_before_request)
    service.after_app_request(_after_request)
    refusals.install(service)
    for version in ("v1.0", "v0.1"):
        service.add_url_rule(f"/api/{version}/status", "status", _health)
        service.add_url_rule(f"/api/{version}/status/<unit>", "unit_status", _health)
        service.add_url_rule(f"/api/{version}/metadata", "metadata", _graph)
        service.add_url_rule(f"/api/{version}/metadata/<unit>", "unit_metadata", _metadata)
    service.add_url_rule("/api/v0.1/health/status", "health", _health)
    service.add_url_rule("/ready", "ready", _health)
    service.add_url_rule("/live", "live", _alive)
    service.register_blueprint(pages.blueprint(model))
    service.record_once(lambda state: shortcut.install(_app(state), model, _headers))
    return service


def _app(state: BlueprintSetupState) -> Flask:
    return state.app if isinstance(state.app, Flask) else current_app


def _configure(app: Flask) -> None:
    body.install(app)
    # Seldon mounts Flask's (empty) static folder on "/", where it makes a 405 of every unknown path.
    for rule in app.url_map.iter_rules("static"):
        rule.methods = set()


def _before_request() -> None:
    if isinstance(request.routing_exception, RequestRedirect):
        # From doubled slashes; it knows no ingress prefix, so it would lead nowhere.
        raise NotFound
    if request.endpoint in _OTHER_NODE_TYPES:
        raise NotFound("this node is a MODEL: it serves predictions and feedback")
    puid = request.headers.get("Seldon-Puid")
    g.puid = puid if envelope.is_puid(puid) and puid else envelope.new_puid()
    if request.endpoint not in _READING or request.method == "OPTIONS":
        return
    body.check_encoding()
    body.check_size()
    body.check_form()
    if request.endpoint == "SendFeedback":
        body.check_feedback()


def _after_request(response: Response) -> Response:
    if request.endpoint in _READING and response.status_code >= 400:
        counters.count(metrics.refusal(str(response.status_code)), _READING[request.endpoint])
    methods = request.url_rule.methods if request.url_rule else None
    response.headers.update(_headers(g.get("puid"), methods or ()))
    setattr(response, FLASK_CORS_EVALUATED, True)
    return response


def _headers(puid: str | None, methods: Iterable[str]) -> dict[str, str]:
    """What every answer carries; `methods` are those of its path."""
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Seldon-Puid": puid,
        "Access-Control-Allow-Origin": os.environ.get("CORS_ALLOWED_ORIGINS", "*"),
        "Access-Control-Allow-Headers": os.environ.get("CORS_ALLOWED_HEADERS", _ALLOWED_HEADERS),
        "Access-Control-Expose-Headers": "Seldon-Puid",
        "Access-Control-Allow-Methods": ",".join(sorted(methods)),
    }
    return {name: value for name, value in headers.items() if value}


def _check_unit(unit: str | None) -> None:
    known = os.environ.get("PREDICTIVE_UNIT_ID")
    if unit and known and unit != known:
        raise NotFound(f"there is no unit {unit!r}; this one is {known!r}")


def _health(unit: str | None = None) -> Any:
    _check_unit(unit)
    return current_app.view_functions["HealthStatus"]()


def _metadata(unit: str) -> Any:
    _check_unit(unit)
    return current_app.view_functions["Metadata"]()


def _graph() -> Any:
    """A graph of one node: the node's inputs and outputs are the graph's."""
    node = current_app.view_functions["Metadata"]().json
    unit = os.environ.get("PREDICTIVE_UNIT_ID", node["name"])
    name = os.environ.get("PREDICTOR_ID", unit)
    return jsonify(name=name, models={unit: node}, graphinputs=node["inputs"], graphoutputs=node["outputs"])


def _alive() -> Any:
    return current_app.view_functions["HealthPing"]()
