"""The bytes of a put, cut out of their message: betterproto would copy each of them four times.

A message that is not plainly `add_file { path, datum, raw { value } }`, in whatever order, is left to betterproto.
Field numbers and wire types are those of pfs_v2.ModifyFileRequest, AddFile and google.protobuf.BytesValue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from betterproto import decode_varint
from pachyderm_sdk.api import pfs

ADD_FILE, PATH, DATUM, RAW, VALUE = 2, 1, 2, 3, 1


@dataclass(frozen=True)
class Content:
    """Bytes to put at the end of the file at `path`."""

    path: str
    data: memoryview


def decode(message: bytes) -> Content | pfs.ModifyFileRequest:
    """One message of a ModifyFile stream."""
    try:
        (field, add), *others = _fields(memoryview(message))
        if field == ADD_FILE and not others:
            parts = dict(_fields(add))
            if RAW in parts and parts.keys() <= {PATH, DATUM, RAW}:
                value = dict(_fields(parts[RAW])).get(VALUE, memoryview(b""))
                return Content(bytes(parts.get(PATH, b"")).decode(), value)
    except (ValueError, IndexError):
        pass
    return pfs.ModifyFileRequest.FromString(message)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The number and the bytes of each field.  ValueError or IndexError where one is of another type or cut short."""
    at = 0
    while at < len(message):
        tag, at = decode_varint(message, at)
        length, at = decode_varint(message, at)
        if tag & 7 != 2 or at + length > len(message):
            raise ValueError(f"field {tag >> 3} is not length-delimited")
        yield tag >> 3, message[at : at + length]
        at += length
