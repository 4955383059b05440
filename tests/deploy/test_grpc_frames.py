"""Messages and statuses of gRPC as they travel, against zlib, gzip and gRPC's own limits."""

from __future__ import annotations

import asyncio
import gzip
import struct
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.fashion_classifier.grpc_frames import Messages, Refused, encoding_of, frame, trailers

LIMIT = 1000
COMPRESSED: dict[bytes, Callable[[bytes], bytes]] = {b"gzip": gzip.compress, b"deflate": zlib.compress}


def squeezed(message: bytes) -> bytes:
    return struct.pack(">BI", 1, len(message)) + message


def read(pieces: list[bytes], encoding: bytes = b"identity", limit: int = LIMIT) -> list[bytes]:
    """All messages of a call whose body comes in `pieces`."""
    events: list[dict[str, Any]] = [{"type": "http.request", "body": each, "more_body": True} for each in pieces]
    events.append({"type": "http.disconnect"})

    async def receive() -> dict[str, Any]:
        return events.pop(0)

    async def every() -> list[bytes]:
        messages, found = Messages(receive, encoding, limit), []
        while (message := await messages.next()) is not None:
            found.append(message)
        return found

    return asyncio.run(every())


def refusal(pieces: list[bytes], encoding: bytes = b"identity") -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        read(pieces, encoding)
    return refused.value.code.name, refused.value.details


@given(
    st.lists(st.tuples(st.binary(max_size=100), st.sampled_from([None, b"gzip", b"deflate"]))),
    st.binary(max_size=4),
    st.lists(st.integers(0, 400)),
    st.data(),
)
def test_messages_are_whole_however_their_bytes_come(
    messages: list[tuple[bytes, bytes | None]], rest: bytes, cuts: list[int], data: st.DataObject
) -> None:
    encoding = data.draw(st.sampled_from(sorted(COMPRESSED)))
    frames = [squeezed(COMPRESSED[encoding](each)) if way else frame(each) for each, way in messages]
    content = b"".join(frames) + rest
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    pieces = [content[start:end] for start, end in pairwise(edges)]
    assert read(pieces, encoding) == [each for each, _ in messages]


def test_a_message_that_is_not_there_as_a_whole_is_none() -> None:
    assert read([frame(b"hello")[:-1]]) == []
    assert read([]) == []


def test_the_limit_holds_for_messages_as_they_come_and_as_they_are() -> None:
    assert read([frame(bytes(LIMIT))]) == [bytes(LIMIT)]
    assert read([squeezed(gzip.compress(bytes(LIMIT)))], b"gzip") == [bytes(LIMIT)]
    assert read([frame(bytes(5_000_000))], limit=-1) == [bytes(5_000_000)]
    assert read([squeezed(gzip.compress(bytes(5_000_000)))], b"gzip", limit=-1) == [bytes(5_000_000)]
    too_large = f"SERVER: Received message larger than max ({LIMIT + 1} vs. {LIMIT})"
    assert refusal([frame(bytes(LIMIT + 1))[:5]]) == ("RESOURCE_EXHAUSTED", too_large)
    bomb = squeezed(gzip.compress(bytes(500_000)))
    assert len(bomb) < LIMIT
    assert refusal([bomb], b"gzip") == ("RESOURCE_EXHAUSTED", "Decompressed message larger than max")


def test_what_cannot_be_decompressed_is_refused_in_the_words_of_grpcs_server() -> None:
    assert refusal([squeezed(b"hello")]) == ("INTERNAL", "Compression bit set but no encoding configured")
    assert refusal([squeezed(b"hello")], b"gzip") == ("INTERNAL", "Decompression failed due to zlib error")
    cut = squeezed(gzip.compress(b"hello")[:-4])
    assert refusal([cut], b"gzip") == ("INTERNAL", "Decompression failed due to data error")


def test_encodings_are_those_that_the_server_names() -> None:
    assert encoding_of({b"te": b"trailers"}) == b"identity"
    assert encoding_of({b"grpc-encoding": b"deflate"}) == b"deflate"
    with pytest.raises(Refused, match="Error parsing 'grpc-encoding' metadata"):
        encoding_of({b"grpc-encoding": b"br"})


def test_words_that_are_no_text_are_sent_as_question_marks() -> None:
    assert dict(trailers(grpc.StatusCode.UNKNOWN, "a\ud800b"))[b"grpc-message"] == b"a?b"


@given(st.sampled_from(list(grpc.StatusCode)), st.text(max_size=50))
def test_trailers_hold_any_words_in_printable_ascii(code: grpc.StatusCode, details: str) -> None:
    found = dict(trailers(code, details))
    assert int(found[b"grpc-status"]) == code.value[0]
    sent = found.get(b"grpc-message", b"").decode("ascii")
    assert unquote(sent, errors="strict") == details
    assert not sent or sent.isprintable()
