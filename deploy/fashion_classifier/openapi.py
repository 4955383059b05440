"""The OpenAPI 3 document of this very model: its class names, a real image, and the answer it really gives.

The server address is relative to the document, so "Try it out" works behind any ingress prefix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from .artifact import Artifact
from .pixels import MAX_IMAGES, SHAPES

EXAMPLE = "example.json"
"""Test image 0 of Fashion-MNIST (an ankle boot) as a request."""

_NUMBER = {"type": "number", "minimum": 0, "maximum": 255}


def example_request() -> dict[str, Any]:
    """A real image as a request: the one on the Swagger page."""
    request: dict[str, Any] = json.loads(files(__package__).joinpath(EXAMPLE).read_text())
    return request


def document(artifact: Artifact, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The document for one model; `answer` is what it answers to the example request."""
    version = artifact.tags().get("model_version", "unregistered")
    description = (
        f"Classifies images of clothes into {', '.join(artifact.labels)}. An image is 28x28 pixels from 0 "
        f"(background) to 255, sent as {SHAPES}; at most {MAX_IMAGES} in one request."
    )
    return {
        "openapi": "3.0.3",
        "info": {"title": artifact.name, "version": version, "description": description},
        "servers": [{"url": "../../..", "description": "this deployment"}],
        "paths": {
            "/api/v1.0/predictions": {"post": _predictions(answer)},
            "/api/v1.0/metadata": {"get": _get("What the model is: version, inputs, outputs, provenance", "metadata")},
            "/api/v1.0/health/status": {"get": _get("Whether the model answers", "health")},
        },
        "components": {"schemas": _schemas(artifact)},
    }


def _predictions(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "predict",
        "tags": ["predictions"],
        "summary": "Classify images",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _reference("Request"), "example": example_request()}},
        },
        "responses": {
            "200": _json("Probabilities of the ten classes, one row an image", "Answer", answer),
            "400": _json("The request cannot be read: what is wrong, and what to send", "Error", _ERROR),
            "413": _json("The body is too large", "Error"),
        },
    }


def _get(summary: str, operation: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "operationId": operation,
        "tags": ["model"],
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}},
    }


def _schemas(artifact: Artifact) -> dict[str, Any]:
    names = {"type": "array", "items": {"type": "string"}}
    shape = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 4}
    probability = {"type": "number", "minimum": 0, "maximum": 1.001}
    row = {"type": "array", "items": probability, "minItems": 10, "maxItems": 10}
    return {
        "Request": _object(
            {
                "data": {
                    "oneOf": [
                        _object({"names": names, "tensor": _tensor(shape, _NUMBER)}, ["tensor"]),
                        _object(
                            {"names": names, "ndarray": {"type": "array", "minItems": 1, "items": {}}}, ["ndarray"]
                        ),
                    ]
                },
                "meta": _object({"puid": {"type": "string"}, "tags": {"type": "object"}}, []),
            },
            ["data"],
        ),
        "Answer": _object(
            {
                "data": _object(
                    {
                        "names": {"type": "array", "items": {"type": "string", "enum": list(artifact.labels)}},
                        "tensor": _tensor(shape, probability),
                        "ndarray": {"type": "array", "items": row},
                    },
                    ["names"],
                ),
                "meta": _object(
                    {
                        "puid": {"type": "string"},
                        "tags": {"type": "object"},
                        "metrics": {"type": "array", "items": {"type": "object"}},
                        "requestPath": {"type": "object"},
                    },
                    ["puid", "tags"],
                ),
            },
            ["data", "meta"],
        ),
        "Error": _object(
            {
                "status": _object(
                    {
                        "status": {"type": "integer"},
                        "info": {"type": "string"},
                        "code": {"type": "integer"},
                        "reason": {"type": "string"},
                    },
                    ["status", "info", "code", "reason"],
                )
            },
            ["status"],
        ),
    }


_ERROR = {
    "status": {
        "status": 1,
        "info": "shape [28, 28] needs 784 values; found 783",
        "code": -1,
        "reason": "MICROSERVICE_BAD_DATA",
    }
}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": required} if required else schema


def _tensor(shape: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    return _object({"shape": shape, "values": {"type": "array", "items": value}}, ["shape", "values"])


def _json(description: str, schema: str, example: Mapping[str, Any] | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _reference(schema)}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {"application/json": content}}


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
