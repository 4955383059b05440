"""A file's hash: over the hashes of its chunks, which end where its content says so.

A chunk ends after the byte at which the rolling hash of the 64 bytes before (buzhash, that is cyclic polynomials: J. D.
Cohen, "Recursive hashing functions for n-grams", 1997) has its lowest 23 bits zero, but has at least SHORTEST and at
most LONGEST bytes.  So a file of less than SHORTEST bytes is one chunk, and its hash the hash of its content's hash.

The window is as long as the hash has bits, so byte j of a file adds its value's number turned by j places, whatever the
window; numpy adds up (exclusive or) windows of two, then of four, and so on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

DIGEST_SIZE = 32
SHORTEST, LONGEST = 1_000_000, 20_000_000
"""Bytes of a chunk; the last one of a file may have fewer."""

_WINDOW = 64
_LOW_BITS = (1 << 23) - 1
_BLOCK = 16 * 1024
"""Bytes that are searched at a time: what is computed of them stays in a core's cache."""

_NUMBERS = [int(word, 16) for word in Path(__file__).with_name("buzhash64.txt").read_text().split()]
"""The number of each byte value: the first 256 of Go's math/rand with the seed 1, as upstream's library draws them."""


def _turned(number: int, places: int) -> int:
    """A 64-bit number rotated to the right."""
    return (number >> places | number << (64 - places)) & (1 << 64) - 1


_PLACES = np.array([[_turned(number, place) for number in _NUMBERS] for place in range(_WINDOW)], np.uint64).ravel()
_ROWS = np.arange(_WINDOW, dtype=np.intp) * len(_NUMBERS)
_MASKS = np.tile(np.array([_turned(_LOW_BITS, place) for place in range(_WINDOW)], np.uint64), _BLOCK // _WINDOW)


def digest(data: bytes = b"") -> hashlib.blake2b:
    """Start the hash that Pachyderm uses everywhere (BLAKE2b-256)."""
    return hashlib.blake2b(data, digest_size=DIGEST_SIZE)


class FileHash:
    """The hashes of a file whose bytes come in order, in any pieces."""

    def __init__(self) -> None:
        self._content = digest()
        self._chunk = self._content  # The first chunk begins where the content does.
        self._chunk_size = 0
        self._chunks = digest()
        self._last = bytes(_WINDOW)
        self._search: _Search | None = None

    def update(self, data: bytes | memoryview) -> None:
        """Add the file's next bytes."""
        view = memoryview(data)
        while view:
            end = self._end_of_chunk(view)
            self._add(view[:end])
            if end:
                self._end_chunk()
            view = view[end:] if end else view[:0]

    def content(self) -> bytes:
        """The hash of the content alone, 32 bytes."""
        return self._content.digest()

    def digest(self) -> bytes:
        """The hash that upstream gives a file of these bytes, 32 bytes."""
        chunks = self._chunks.copy()
        if self._chunk is not self._content or self._chunk_size:
            chunks.update(self._chunk.digest())
        return chunks.digest()

    def _end_of_chunk(self, view: memoryview) -> int | None:
        """How many bytes of `view` are the rest of the chunk, if it ends in there."""
        begin = max(0, SHORTEST - 1 - self._chunk_size)
        end = min(len(view), LONGEST - self._chunk_size)
        for at in range(begin, end, _BLOCK):
            self._search = self._search or _Search()
            before = bytes(view[max(0, at - _WINDOW) : at])
            found = self._search.first((self._last + before)[-_WINDOW:], view[at : min(at + _BLOCK, end)])
            if found is not None:
                return at + found + 1
        return end if self._chunk_size + end == LONGEST else None

    def _add(self, part: memoryview) -> None:
        self._content.update(part)
        if self._chunk is not self._content:
            self._chunk.update(part)
        self._chunk_size += len(part)
        self._last = (self._last + bytes(part[-_WINDOW:]))[-_WINDOW:]

    def _end_chunk(self) -> None:
        self._chunks.update(self._chunk.digest())
        self._chunk, self._chunk_size = digest(), 0


class _Search:
    """Looks for the end of a chunk; its arrays are made once, because making them takes longer than filling them."""

    def __init__(self) -> None:
        size = _WINDOW + _BLOCK
        self._bytes = np.zeros(size, np.uint8)
        self._indices = np.empty((size // _WINDOW, _WINDOW), np.intp)
        self._sums = np.empty(size, np.uint64), np.empty(size, np.uint64)

    def first(self, before: bytes, block: memoryview) -> int | None:
        """Where in `block`, at most _BLOCK bytes, a chunk may end first; `before` are the _WINDOW bytes before it."""
        self._bytes[:_WINDOW] = np.frombuffer(before, np.uint8)
        self._bytes[_WINDOW : _WINDOW + len(block)] = np.frombuffer(block, np.uint8)
        np.add(self._bytes.reshape(-1, _WINDOW), _ROWS, out=self._indices)
        sums, others = self._sums
        _PLACES.take(self._indices.ravel(), out=sums, mode="wrap")
        width = 1
        while width < _WINDOW:
            np.bitwise_xor(sums[width:], sums[:-width], out=others[width:])
            sums, others, width = others, sums, 2 * width
        windows = sums[_WINDOW:]
        np.bitwise_and(windows, _MASKS, out=windows)
        found = int(windows[: len(block)].argmin())
        return None if windows[found] else found
