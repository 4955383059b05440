"""Seldon's protobuf messages, read and written without a detour over JSON: binary payloads are taken as they are.

The protobuf of the serving environment is pure Python, so every value that is a field of its own costs microseconds:
`tftensor` and `binData` are one field, `tensor` is one number each, `ndarray` one message each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seldon_core.proto.prediction_pb2 import Metric, SeldonMessage

from . import binary, payload, pixels, tftensor
from .model import Probabilities
from .payload import Kind, Request


def read(message: Any) -> Request:
    """The images of a SeldonMessage.  Raises BadInput."""
    field = message.WhichOneof("data_oneof")
    if field == "binData":
        return Request(binary.from_bytes(message.binData), "tensor", field)
    if field == "data":
        kind = message.data.WhichOneof("data_oneof")
        if kind == "tftensor":
            return Request(tftensor.from_protobuf(message.data.tftensor), kind, kind)
        if kind == "tensor":
            tensor = message.data.tensor
            return Request(pixels.from_tensor({"shape": list(tensor.shape), "values": list(tensor.values)}), kind, kind)
        return payload.parse({"data": {kind: [_plain(each) for each in message.data.ndarray.values]} if kind else {}})
    content = {"strData": message.strData, "jsonData": _plain(message.jsonData)}
    return payload.parse({field: content.get(field)} if field else {})


def received_meta(message: Any) -> Mapping[str, Any]:
    """A message with the request's `meta` only, as JSON has it; tags stay protobuf values, which `write` takes back."""
    meta = message.meta
    return {"meta": {"puid": meta.puid, "tags": dict(meta.tags), "requestPath": dict(meta.requestPath)}}


def write(probabilities: Probabilities, kind: Kind, names: Sequence[str], meta: Mapping[str, Any]) -> Any:
    """The answer: probabilities float32 [n, 10] in the request's kind, with `meta` as the envelope makes it."""
    answer = SeldonMessage()
    data = answer.data
    data.names.extend(names)
    if kind == "tftensor":
        tftensor.to_protobuf(probabilities, data.tftensor)
    elif kind == "tensor":
        data.tensor.shape.extend(probabilities.shape)
        data.tensor.values.extend(probabilities.ravel().tolist())
    else:
        for row in probabilities.tolist():
            data.ndarray.add_list().extend(row)
    answer.meta.puid = meta["puid"]
    answer.meta.requestPath.update(meta.get("requestPath", {}))
    for name, value in meta.get("tags", {}).items():
        if isinstance(value, str):
            answer.meta.tags[name].string_value = value
        else:
            answer.meta.tags[name].CopyFrom(value)
    for metric in meta.get("metrics", []):
        answer.meta.metrics.add(**{**metric, "type": Metric.MetricType.Value(metric["type"])})
    return answer


def _plain(value: Any) -> Any:
    """A protobuf Value as JSON has it; protobuf knows no integers."""
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [_plain(each) for each in value.list_value.values]
    if kind == "struct_value":
        return {name: _plain(each) for name, each in value.struct_value.fields.items()}
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    return None if kind in (None, "null_value") else getattr(value, kind)
