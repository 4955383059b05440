"""Seldon's protobuf messages, read and written without a detour over JSON: binary payloads are taken as they are.

The protobuf of the serving environment is pure Python, so every value that is a field of its own costs microseconds:
`tftensor` and `binData` are one field, `tensor` is one number each, `ndarray` one message each.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Value  # type: ignore[import-untyped,unused-ignore]
from seldon_core.proto.prediction_pb2 import DefaultData, Meta, Metric, SeldonMessage, Tensor
from seldon_core.user_model import INCLUDE_METRICS_IN_CLIENT_RESPONSE

from . import binary, metrics, payload, picture, pixels, tftensor
from .model import Probabilities
from .payload import Kind, Request

_META = SeldonMessage.META_FIELD_NUMBER
_DATA = SeldonMessage.DATA_FIELD_NUMBER
_TENSOR_CONTENT = type(DefaultData().tftensor).TENSOR_CONTENT_FIELD_NUMBER
_VALUE = struct.Struct("<Bf")
_NUMBER = struct.Struct("<Bd")
_NUMBER_ITSELF, _LENGTH = 0, 2
"""Wire types: a number, and what begins with its length: texts, bytes, messages and packed numbers."""
_PAYLOADS = (
    (SeldonMessage.BINDATA_FIELD_NUMBER,),
    (_DATA, DefaultData.TENSOR_FIELD_NUMBER, Tensor.VALUES_FIELD_NUMBER),
    (_DATA, DefaultData.TFTENSOR_FIELD_NUMBER, _TENSOR_CONTENT),
)
"""Where the pixels of a message stand that are bytes, or packed numbers."""
_BESIDE = 256
"""Bytes of a quick message beside its pixels."""
_KEY, _ENTRY = 1, 2
"""The fields of an entry of a map (Protocol Buffers, "Maps")."""


def is_quick(content: bytes) -> bool:
    """Whether a SeldonMessage of some kilobytes is read in microseconds: pixels as bytes or packed numbers, and little
    beside them.  A picture or an `ndarray` of its size can take tens of milliseconds.
    """
    pixels = _payload(content, ())
    return pixels is not None and len(content) - len(pixels) <= _BESIDE and not picture.is_picture(pixels)


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
    if not message.HasField("meta"):
        return {}
    meta = message.meta
    return {"meta": {"puid": meta.puid, "tags": dict(meta.tags), "requestPath": dict(meta.requestPath)}}


class Answer:
    """A SeldonMessage to gRPC, which asks for the bytes, with what it counts.

    Provenance, class names and the labels of metrics repeat from answer to answer and made most of its cost, so they
    are serialised once.
    """

    def __init__(self, content: bytes, metrics: list[metrics.Metric]) -> None:
        """`content` is the message on the wire."""
        self.metrics = metrics
        self._content = content

    def IsInitialized(self) -> bool:  # noqa: N802 - protobuf's name
        """What protobuf asks before it serialises: whether required fields are set; there are none."""
        return True

    def SerializePartialToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """The message on the wire."""
        return self._content


def write(probabilities: Probabilities, kind: Kind, names: Sequence[str], meta: Mapping[str, Any]) -> Answer:
    """The answer: probabilities float32 [n, 10] in the request's kind, with `meta` as the envelope makes it."""
    if kind == "tensor":
        values = _field(Tensor.VALUES_FIELD_NUMBER, probabilities.astype("<f8").tobytes())
        data = _field(DefaultData.TENSOR_FIELD_NUMBER, _shape(probabilities.shape) + values)
    elif kind == "tftensor":
        values = _field(_TENSOR_CONTENT, probabilities.astype("<f4").tobytes())
        data = _field(DefaultData.TFTENSOR_FIELD_NUMBER, _tftensor(probabilities.shape) + values)
    else:
        message = DefaultData()
        for row in probabilities.tolist():
            message.ndarray.add_list().extend(row)
        data = message.SerializeToString()
    constant, varying = {}, [_field(Meta.PUID_FIELD_NUMBER, meta["puid"].encode())]
    for name, value in meta.get("tags", {}).items():
        if isinstance(value, str):
            constant[name] = value
        elif isinstance(value, bool | float | list):
            varying.append(_tag(name, value))
        else:
            varying.append(Meta(tags={name: value}).SerializeToString())
    path, counted = tuple(meta.get("requestPath", {}).items()), meta.get("metrics", [])
    if INCLUDE_METRICS_IN_CLIENT_RESPONSE:
        varying += map(_metric, counted)
    content = _field(_META, b"".join([_constant(tuple(constant.items()), path), *varying]))
    return Answer(content + _field(_DATA, _names(tuple(names)) + data), counted)


@lru_cache(maxsize=16)
def _shape(shape: tuple[int, ...]) -> bytes:
    content: bytes = Tensor(shape=shape).SerializeToString()
    return content


@lru_cache(maxsize=16)
def _tftensor(shape: tuple[int, ...]) -> bytes:
    message = DefaultData()
    tftensor.describe(shape, message.tftensor)
    content: bytes = message.tftensor.SerializeToString()
    return content


@lru_cache(maxsize=16)
def _constant(tags: tuple[tuple[str, str], ...], path: tuple[tuple[str, str], ...]) -> bytes:
    meta = Meta(requestPath=dict(path))
    for name, value in tags:
        meta.tags[name].string_value = value
    content: bytes = meta.SerializeToString()
    return content


def _tag(name: str, value: bool | float | list[Any]) -> bytes:
    """A tag as an entry of Meta's map: its name, and a protobuf Value, of several values a ListValue."""
    if isinstance(value, list):
        values = b"".join(_field(ListValue.VALUES_FIELD_NUMBER, _plain_value(each)) for each in value)
        content = _field(Value.LIST_VALUE_FIELD_NUMBER, values)
    else:
        content = _plain_value(value)
    return _field(Meta.TAGS_FIELD_NUMBER, _field(_KEY, name.encode()) + _field(_ENTRY, content))


def _plain_value(value: bool | float) -> bytes:
    if isinstance(value, bool):
        return bytes((Value.BOOL_VALUE_FIELD_NUMBER << 3, value))
    return _NUMBER.pack(Value.NUMBER_VALUE_FIELD_NUMBER << 3 | 1, value)


def _metric(metric: metrics.Metric) -> bytes:
    """A metric as a field of Meta; its value is a float in four bytes."""
    labels = _labels(metric["type"], metric["key"], tuple(metric["tags"].items()))
    return _field(Meta.METRICS_FIELD_NUMBER, labels + _VALUE.pack(Metric.VALUE_FIELD_NUMBER << 3 | 5, metric["value"]))


@lru_cache(maxsize=256)
def _labels(kind: str, key: str, tags: tuple[tuple[str, str], ...]) -> bytes:
    content: bytes = Metric(key=key, type=kind, tags=dict(tags)).SerializeToString()
    return content


@lru_cache(maxsize=1)
def _names(names: tuple[str, ...]) -> bytes:
    content: bytes = DefaultData(names=names).SerializeToString()
    return content


def _field(number: int, content: bytes) -> bytes:
    """A message as a field of another: its number with wire type 2, its length in groups of seven bits, itself."""
    length, rest = [number << 3 | 2], len(content)
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return bytes((*length, rest)) + content


def _payload(content: bytes, path: tuple[int, ...]) -> bytes | None:
    """The pixels in a message that stands at `path` of a SeldonMessage; None where no field of _PAYLOADS comes."""
    position = 0
    while position < len(content):
        key, position = _varint(content, position)
        value, position = _varint(content, position)
        field = (*path, key >> 3)
        if key & 7 == _LENGTH:
            start, position = position, position + value
            if field in _PAYLOADS:
                return content[start:position]
            if any(each[: len(field)] == field for each in _PAYLOADS):
                return _payload(content[start:position], field)
        elif key & 7 != _NUMBER_ITSELF:
            return None
    return None


def _varint(content: bytes, start: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value, end = 0, start
    while end < len(content):
        value |= (content[end] & 127) << 7 * (end - start)
        end += 1
        if content[end - 1] < 128:
            break
    return value, end


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
