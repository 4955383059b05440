"""The schemas of the OpenAPI document: what Seldon's messages hold when this model reads or writes them.

What is open in Seldon's protocol (tags, metrics, other nodes' paths) stays open here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

PUID: Schema = {"type": "string", "maxLength": 256, "pattern": "^[ -~]*$"}
"""What can travel as the header Seldon-Puid."""

_TEXT: Schema = {"type": "string"}
_OBJECT: Schema = {"type": "object"}
_NAMES: Schema = {"type": "array", "items": _TEXT}
_SHAPE: Schema = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 4}
_PIXEL: Schema = {"type": "number", "minimum": 0, "maximum": 255}
_PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1.001}


def schemas(labels: Sequence[str]) -> dict[str, Schema]:
    """Every schema of the document by name; `labels` are the model's class names."""
    return {
        "Request": _request(),
        "Form": _form(),
        "Answer": _answer(labels),
        "Feedback": _feedback(labels),
        "Acknowledgement": _object({"meta": reference("Meta")}, ["meta"]),
        "Status": _object({"strData": {"type": "string", "enum": ["ready"]}, "meta": reference("Meta")}, ["strData"]),
        "Model": _model(),
        "Graph": _graph(),
        "Meta": _meta(),
        "Error": _error(),
    }


def reference(name: str) -> dict[str, str]:
    """A reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def _request() -> Schema:
    meta = {"meta": _nullable(_object({"puid": _nullable(PUID), "tags": _OBJECT}))}
    tensor = _tensor(_PIXEL)
    nested = {"type": "array", "minItems": 1, "items": {}, "description": "nested lists, for example 28 of 28"}
    proto = _object(
        {
            "dtype": {"type": "string", "example": "DT_UINT8"},
            "tensorShape": _object({"dim": {"type": "array", "items": _object({"size": _TEXT})}}, ["dim"]),
            "tensorContent": {"type": "string", "format": "byte"},
        },
        ["dtype", "tensorShape"],
    )
    kinds = {"tensor": tensor, "ndarray": nested, "tftensor": proto}
    data = {"oneOf": [_object({"names": _nullable(_NAMES), kind: schema}, [kind]) for kind, schema in kinds.items()]}
    picture = "a PNG, JPEG, GIF, BMP or WebP file, or raw pixels, in base64"
    fields = {
        "data": data,
        "binData": {"type": "string", "description": picture},
        "strData": {"type": "string", "description": f"{picture}, also as a data URL"},
        "jsonData": {"description": "nested lists, or what may stand as data", "oneOf": [nested, data]},
    }
    return {"oneOf": [_object({field: schema, **meta}, [field]) for field, schema in fields.items()]}


def _form() -> Schema:
    file: Schema = {"type": "string", "format": "binary", "description": "a picture file"}
    return _object({"binData": file}, ["binData"])


def _answer(labels: Sequence[str]) -> Schema:
    names = {"type": "array", "items": {"type": "string", "enum": list(labels)}}
    row = {"type": "array", "items": _PROBABILITY, "minItems": len(labels), "maxItems": len(labels)}
    kinds = {
        "tensor": _tensor(_PROBABILITY),
        "ndarray": {"type": "array", "items": row},
        "tftensor": _object({"dtype": _TEXT, "tensorShape": _OBJECT, "tensorContent": _TEXT}, ["dtype"]),
    }
    data = {"oneOf": [_object({"names": names, kind: schema}, ["names", kind]) for kind, schema in kinds.items()]}
    return _object({"data": data, "meta": reference("Meta")}, ["data", "meta"])


def _feedback(labels: Sequence[str]) -> Schema:
    fields = {"data": _OBJECT, "meta": _OBJECT, "strData": _TEXT}
    message = _nullable(_object({name: _nullable(schema) for name, schema in fields.items()}))
    shown = f'the class that the image shows, for example {{"data": {{"ndarray": ["{labels[-1]}"]}}}}'
    return _object(
        {
            "request": {**message, "description": "what was sent for the prediction"},
            "response": {**message, "description": "the whole answer to it"},
            "reward": {"type": "number", "description": "1 where the answer is right, 0 where it is wrong"},
            "truth": {**message, "description": shown},
        }
    )


def _meta() -> Schema:
    provenance = ("model_name", "model_version", "checkpoint", "data_commit", "git_commit", "experiment_id", "trial_id")
    tags = {
        **{tag: {} for tag in provenance},
        "outlier": _each({"type": "boolean"}, "whether an image is unlike those that the model was trained on"),
        "outlier_score": _each({"type": "number", "minimum": 0}, "how unlike: above 1 it is an outlier"),
    }
    return _object(
        {
            "puid": PUID,
            "tags": {**_object(tags), "description": "where the answer comes from, and whether it can be one"},
            "metrics": {"type": "array", "items": _OBJECT},
            "requestPath": _OBJECT,
        }
    )


def _model() -> Schema:
    described = {"type": "array", "items": _OBJECT}
    fields = {"name": _TEXT, "versions": _NAMES, "platform": _TEXT, "inputs": described, "outputs": described}
    return _object({**fields, "custom": _OBJECT}, list(fields))


def _graph() -> Schema:
    described = {"type": "array", "items": _OBJECT}
    models = {"type": "object", "additionalProperties": reference("Model")}
    fields = {"name": _TEXT, "models": models, "graphinputs": described, "graphoutputs": described}
    return _object(fields, list(fields))


def _error() -> Schema:
    fields = {
        "status": {"type": "integer", "enum": [1]},
        "info": {"type": "string", "description": "what is wrong, where, and what to send instead"},
        "code": {"type": "integer"},
        "reason": {"type": "string", "pattern": "^MICROSERVICE_[A-Z_]+$"},
    }
    return _object({"status": _object(fields, list(fields))}, ["status"])


def _each(value: Schema, description: str) -> Schema:
    """A value for the one image of a request, or a list of them for several."""
    return {"oneOf": [value, {"type": "array", "items": value}], "description": description}


def _tensor(value: Schema) -> Schema:
    return _object({"shape": _SHAPE, "values": {"type": "array", "items": value}}, ["shape", "values"])


def _nullable(schema: Schema) -> Schema:
    """In protobuf's JSON null is the same as nothing."""
    return {**schema, "nullable": True}


def _object(properties: dict[str, Any], required: Sequence[str] = ()) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema
