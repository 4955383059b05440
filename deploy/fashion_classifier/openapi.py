"""The OpenAPI 3 document of this very model: its class names, a real image, and the answer it really gives.

The server address is relative to the document, so "Try it out" works behind any ingress prefix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from .artifact import Artifact
from .errors import status
from .nesting import MAX_FEEDBACK, MAX_PARTS, MAX_VALUES
from .pixels import MAX_IMAGES, SHAPES
from .schemas import PUID, reference, schemas

EXAMPLE = "example.json"
"""Test image 0 of Fashion-MNIST (an ankle boot) as a request."""

_JSON = "application/json"
_HEADERS = {"Seldon-Puid": {"description": "the id of the request, given or made", "schema": PUID}}
_REFUSALS = {
    "400": (
        "The message cannot be read: what is wrong, and what to send",
        "shape [28, 28] needs 784 values; found 783",
    ),
    "404": ("There is no such unit", "there is no unit 'other'; this one is 'fashion-classifier'"),
    "413": (
        f"The body is too large, or feedback holds more than {MAX_FEEDBACK:,} values",
        "the body is larger than 20 MiB; send fewer images at once",
    ),
    "415": ("The body is compressed", "the body is compressed (Content-Encoding: gzip); send it as it is"),
    "503": ("The model is not ready, or feedback cannot be stored now", "the model is not loaded yet"),
}
_REASONS = {"404": "NOT_FOUND", "415": "UNSUPPORTED_MEDIA_TYPE", "503": "NOT_READY"}


def example_request() -> dict[str, Any]:
    """A real image as a request: the one on the Swagger page."""
    request: dict[str, Any] = json.loads(files(__package__).joinpath(EXAMPLE).read_text())
    return request


def document(artifact: Artifact, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The document for one model; `answer` is what it answers to the example request."""
    description = (
        f"Classifies images of clothes into {', '.join(artifact.labels)}. An image is 28x28 pixels from 0 "
        f"(background) to 255, sent as {SHAPES}; at most {MAX_IMAGES} in one request, and at most {MAX_VALUES} "
        f"numbers and {MAX_PARTS} lists, objects and strings. A picture file may have any size and ground. "
        "Predictions and feedback are served below /api/v0.1 too. With pictures: [try it](try.html)."
    )
    feedback = {
        "request": example_request(),
        "response": answer,
        "reward": 0,
        "truth": {"data": {"ndarray": [artifact.labels[0]]}},
    }
    prediction = {_JSON: _content("Request", example_request()), "multipart/form-data": _content("Form")}
    return {
        "openapi": "3.0.3",
        "info": {
            "title": artifact.name,
            "version": artifact.tags().get("model_version", "unregistered"),
            "description": description,
        },
        "servers": [{"url": "../../..", "description": "this deployment"}],
        "tags": [{"name": "predictions"}, {"name": "model"}, {"name": "health"}],
        "paths": {
            "/api/v1.0/predictions": _post("predict", "Classify images", prediction, "Answer", answer),
            "/api/v1.0/feedback": _post(
                "sendFeedback",
                "Say what an image really shows",
                {_JSON: _content("Feedback", feedback)},
                "Acknowledgement",
            ),
            "/api/v1.0/metadata": _get("graph", "model", "The graph, and the model in it", "Graph"),
            "/api/v1.0/metadata/{unit}": _get(
                "metadata", "model", "What the model takes and gives", "Model", unit=True
            ),
            "/api/v1.0/status": _get("status", "health", "Whether the model answers", "Status"),
            "/api/v1.0/status/{unit}": _get("unitStatus", "health", "Whether a unit answers", "Status", unit=True),
            "/api/v1.0/health/status": _get("healthStatus", "health", "Whether the model answers", "Status"),
            "/ready": _get("ready", "health", "Whether the model answers", "Status"),
            "/live": _get("live", "health", "Whether the server answers"),
            "/health/ping": _get("ping", "health", "Whether the server answers"),
        },
        "components": {"schemas": schemas(artifact.labels), "responses": _refusals()},
    }


def _post(
    operation: str, summary: str, content: dict[str, Any], schema: str, answer: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "post": {
            "operationId": operation,
            "tags": ["predictions"],
            "summary": summary,
            "requestBody": {"required": True, "content": content},
            "responses": {
                "200": _response(summary, {_JSON: _content(schema, answer)}),
                **_references("400", "413", "415", "503"),
            },
        }
    }


def _get(operation: str, tag: str, summary: str, schema: str | None = None, *, unit: bool = False) -> dict[str, Any]:
    described = {"name": "unit", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    content = {_JSON: _content(schema)} if schema else {"text/html": {"schema": {"type": "string"}, "example": "pong"}}
    return {
        "get": {
            "operationId": operation,
            "tags": [tag],
            "summary": summary,
            "parameters": [{**described, "example": "fashion-classifier"}] if unit else [],
            "responses": {
                "200": _response(summary, content),
                **_references(*(["404"] if unit else []), *(["503"] if schema == "Status" else [])),
            },
        }
    }


def _refusals() -> dict[str, Any]:
    return {
        code: _response(
            description, {_JSON: _content("Error", status(info, f"MICROSERVICE_{_REASONS.get(code, 'BAD_DATA')}"))}
        )
        for code, (description, info) in _REFUSALS.items()
    }


def _references(*codes: str) -> dict[str, Any]:
    return {code: {"$ref": f"#/components/responses/{code}"} for code in codes}


def _response(description: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "headers": _HEADERS, "content": content}


def _content(schema: str, example: Mapping[str, Any] | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": reference(schema)}
    return content if example is None else {**content, "example": example}
