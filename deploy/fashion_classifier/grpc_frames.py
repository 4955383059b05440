"""Messages and statuses of gRPC as they travel in HTTP/2 (grpc.io, "gRPC over HTTP2"): bytes in, bytes out.

A message is a frame: whether it is compressed (1 byte), its length (4 bytes, big-endian), itself.  What a call came to
stands in the trailers.  Codes and words of what cannot be read are those of gRPC's own server.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

import grpc  # type: ignore[import-untyped,unused-ignore]

ENCODINGS = {b"identity": None, b"deflate": zlib.MAX_WBITS, b"gzip": zlib.MAX_WBITS | 16}
"""How a call's messages may be compressed, and zlib's number for it."""
PREFIX = 5
"""Bytes before a message."""
_PREFIX = struct.Struct(">BI")
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

Receive = Callable[[], Awaitable[Any]]
Code = Any
"""A grpc.StatusCode; grpc has no types."""


class Refused(Exception):
    """A call ends with a status other than OK."""

    def __init__(self, code: Code, details: str) -> None:
        """`details` goes to the client."""
        super().__init__(details)
        self.code, self.details = code, details


def encoding_of(headers: Mapping[bytes, bytes]) -> bytes:
    """How a call's messages are compressed.  Raises Refused where none of ENCODINGS is named."""
    found = headers.get(b"grpc-encoding", b"identity")
    if found not in ENCODINGS:
        raise Refused(grpc.StatusCode.INTERNAL, "Error parsing 'grpc-encoding' metadata")
    return found


class Messages:
    """The messages of a call, as they come."""

    def __init__(self, receive: Receive, encoding: bytes, limit: int) -> None:
        """`receive` is ASGI's; a message may have `limit` bytes, compressed or not (-1: any number)."""
        self._receive, self._encoding, self._limit = receive, encoding, limit
        self._content = bytearray()
        self._has_ended = False

    async def next(self) -> bytes | None:
        """The next message; None where none comes any more as a whole.  Raises Refused."""
        while (end := self._end()) is None:
            if self._has_ended:
                return None
            event = await self._receive()
            self._content += event.get("body", b"")
            self._has_ended = not event.get("more_body", False)
        message = bytes(self._content[PREFIX:end])
        is_compressed = self._content[0]
        del self._content[:end]
        if is_compressed:
            return await asyncio.to_thread(_decompressed, message, self._encoding, self._limit)
        return message

    def _end(self) -> int | None:
        """Where the first frame ends; None until it has come."""
        if len(self._content) < PREFIX:
            return None
        _, length = _PREFIX.unpack_from(self._content)
        if 0 <= self._limit < length:
            details = f"SERVER: Received message larger than max ({length} vs. {self._limit})"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, details)
        end = PREFIX + length
        return end if len(self._content) >= end else None


def frame(message: bytes) -> bytes:
    """A message as it travels, not compressed."""
    return _PREFIX.pack(0, len(message)) + message


def trailers(code: Code, details: str = "") -> list[tuple[bytes, bytes]]:
    """A status as HTTP/2 carries it; `details` are percent-encoded UTF-8."""
    number = str(code.value[0]).encode()
    return [
        (b"grpc-status", number),
        *([(b"grpc-message", quote(details, _PRINTABLE, errors="replace").encode())] if details else []),
    ]


def _decompressed(message: bytes, encoding: bytes, limit: int) -> bytes:
    bits = ENCODINGS[encoding]
    if bits is None:
        raise Refused(grpc.StatusCode.INTERNAL, "Compression bit set but no encoding configured")
    stream = zlib.decompressobj(bits)
    try:
        content = stream.decompress(message, limit + 1 if limit >= 0 else 0)
    except zlib.error as error:
        raise Refused(grpc.StatusCode.INTERNAL, "Decompression failed due to zlib error") from error
    if 0 <= limit < len(content):
        raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "Decompressed message larger than max")
    if not stream.eof:
        raise Refused(grpc.StatusCode.INTERNAL, "Decompression failed due to data error")
    return content
