"""The IDX reader takes what the format allows and names what is wrong with everything else."""

from __future__ import annotations

import gzip
import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InvalidIdx
from data.idx import read_images, read_labels


def packed(magic: int, sizes: tuple[int, ...], values: bytes) -> bytes:
    return gzip.compress(struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + values, mtime=0)


@given(st.binary(min_size=0, max_size=200).map(lambda b: bytes(value % 10 for value in b)))
def test_labels_come_back_as_written(values: bytes) -> None:
    labels = read_labels(io.BytesIO(packed(0x801, (len(values),), values)))
    assert labels.dtype == np.uint8
    assert labels.tobytes() == values


@given(st.integers(0, 3), st.randoms())
def test_images_come_back_as_written(count: int, random: object) -> None:
    values = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    assert np.array_equal(read_images(io.BytesIO(packed(0x803, values.shape, values.tobytes()))), values)


@given(st.binary(max_size=400))
def test_garbage_is_refused_and_never_crashes(content: bytes) -> None:
    with pytest.raises(InvalidIdx):
        read_images(io.BytesIO(content))
    with pytest.raises(InvalidIdx):
        read_images(io.BytesIO(gzip.compress(content)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (packed(0x803, (1,), b"\0"), "magic number 0x00000803; expected 0x00000801"),
        (packed(0x801, (3,), b"\0\1"), "2 values; the header says 3"),
        (packed(0x801, (2,), b"\0\x0a"), "label 10 at position 1"),
        (packed(0x801, (2,), b"\0\1")[:-9], "not a whole gzip file"),
        (b"", "0 bytes after unpacking"),
    ],
    ids=["images", "too few", "no class", "truncated", "empty"],
)
def test_wrong_labels_are_named(content: bytes, words: str) -> None:
    with pytest.raises(InvalidIdx, match=words):
        read_labels(io.BytesIO(content))


def test_images_of_another_size_are_named() -> None:
    with pytest.raises(InvalidIdx, match="2x3 pixels; Fashion-MNIST has 28x28"):
        read_images(io.BytesIO(packed(0x803, (1, 2, 3), bytes(6))))
