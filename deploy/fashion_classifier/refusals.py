"""Every refusal in Seldon's error shape: what is wrong, and what to send instead.

Seldon's own handler would make a 500 of each of Flask's refusals.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from .errors import BAD_DATA, BadInput, ModelError, SpoolError, status

_METHODS = {"GET", "POST"}
"""OPTIONS and HEAD come with these."""


def install(service: Blueprint) -> None:
    """Let the app that takes `service` answer refusals as this module says."""
    service.app_errorhandler(BadInput)(_bad_input)
    service.app_errorhandler(ModelError)(_not_ready)
    service.app_errorhandler(SpoolError)(_not_stored)
    service.app_errorhandler(HTTPException)(_http_error)


def _bad_input(error: BadInput) -> tuple[Response, int]:
    return jsonify(status(str(error))), 400


def _not_ready(error: ModelError) -> tuple[Response, int]:
    return jsonify(status(str(error), "MICROSERVICE_NOT_READY")), 503


def _not_stored(error: SpoolError) -> tuple[Response, int]:
    return jsonify(status(str(error), "MICROSERVICE_FEEDBACK_NOT_STORED")), 503


def _http_error(error: HTTPException) -> Any:
    if error.code is None:
        return error
    headers = [header for header in error.get_headers() if header[0].lower() not in ("content-type", "content-length")]
    reason = BAD_DATA if error.code in (400, 413) else "MICROSERVICE_" + error.name.upper().replace(" ", "_")
    return jsonify(status(_words(error), reason)), error.code, headers


def _words(error: HTTPException) -> str:
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        methods = " or ".join(sorted(_METHODS.intersection(error.valid_methods)))
        return f"{request.method} is not served here; send {methods}"
    if error.description == NotFound.description:
        return f"nothing is served at {request.path}; what is served is described at /api/v1.0/doc/"
    return error.description or error.name
