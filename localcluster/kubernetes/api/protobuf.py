"""`kubectl create namespace|secret|configmap` sends Kubernetes' protobuf form only; this reads just those three.

Layout: `k8s\\0`, then Unknown{1: TypeMeta{1 apiVersion, 2 kind}, 2: object}; the object's field 1 is ObjectMeta.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from localcluster.kubernetes.errors import BadRequest, UnsupportedMediaType
from localcluster.kubernetes.state.kinds import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"


def decode(body: bytes, wanted: str) -> Object:
    """The JSON form of the object; raises UnsupportedMediaType for other kinds, BadRequest for damaged input."""
    if not body.startswith(b"k8s\0"):
        raise BadRequest(
            f"the object provided is unrecognized (must be of type {wanted}): provided data does not appear to be a "
            f"protobuf message, expected prefix [107 56 115 0] ({body[:30].hex()})"
        )
    try:
        unknown = dict(_fields(body[4:]))
        types = dict(_fields(unknown[1]))
        kind = types[2].decode()
        return {"apiVersion": types[1].decode(), "kind": kind} | _object(kind, unknown.get(2, b""))
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise BadRequest(f"the protobuf body is damaged: {error!r}") from error


def _object(kind: str, raw: bytes) -> Object:
    fields = list(_fields(raw))
    result: Object = {"metadata": _metadata(next((value for number, value in fields if number == 1), b""))}
    if kind == "Secret":
        data = {name: base64.b64encode(value).decode() for name, value in _entries(fields, 2)}
        types = [value.decode() for number, value in fields if number == 3]
        return result | {"data": data} | ({"type": types[0]} if types and types[0] else {})
    if kind == "ConfigMap":
        binary = {name: base64.b64encode(value).decode() for name, value in _entries(fields, 3)}
        data = {name: value.decode() for name, value in _entries(fields, 2)}
        return result | {"data": data} | ({"binaryData": binary} if binary else {})
    if kind == "Namespace":
        return result
    raise UnsupportedMediaType(f"{kind} is not read as protobuf by the local cluster; use kubectl apply -f with YAML")


def _metadata(raw: bytes) -> Object:
    fields = list(_fields(raw))
    texts = {1: "name", 2: "generateName", 3: "namespace"}
    result: Object = {texts[number]: value.decode() for number, value in fields if number in texts and value}
    for number, name in ((11, "labels"), (12, "annotations")):
        if entries := {key: value.decode() for key, value in _entries(fields, number)}:
            result[name] = entries
    return result


def _entries(fields: list[tuple[int, Any]], wanted: int) -> Iterator[tuple[str, bytes]]:
    for number, value in fields:
        if number == wanted:
            entry = dict(_fields(value))
            yield entry[1].decode(), entry.get(2, b"")


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    position = 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        wire = tag & 7
        if wire == 0:
            value, position = _varint(raw, position)
            yield tag >> 3, value
        elif wire == 2:
            size, position = _varint(raw, position)
            if position + size > len(raw):
                raise IndexError("a field is longer than the message")
            yield tag >> 3, raw[position : position + size]
            position += size
        else:
            raise BadRequest(f"the protobuf body has a field of wire type {wire}")


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if not byte & 128:
            return value, position
