"""What counts as the published data set."""

from __future__ import annotations

import gzip
import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest

from data.catalog import FILES, TRAIN, PublishedFile, first_images, verify
from data.errors import ChecksumMismatch
from tests.conftest import idx


def published(name: str, content: bytes) -> tuple[PublishedFile, bytes]:
    """A file as the authors' gzip wrote it: with its name and the time in the header."""
    stripped = gzip.compress(content, mtime=0)
    name_field = name.removesuffix(".gz").encode() + b"\0"
    original = b"\x1f\x8b\x08\x08" + struct.pack("<IBB", 1504176606, 0, 3) + name_field + stripped[10:]
    file = PublishedFile(
        name=name,
        size=len(original),
        md5=hashlib.md5(original).hexdigest(),
        sha256=hashlib.sha256(original).hexdigest(),
        modified=1504176606,
    )
    return file, original


def test_the_published_file_is_taken_as_it_is() -> None:
    file, original = published("a-ubyte.gz", b"pixels")
    assert verify(file, original, "here") == original
    assert gzip.decompress(original) == b"pixels"


def test_a_file_whose_header_a_distribution_stripped_is_restored() -> None:
    file, original = published("a-ubyte.gz", b"pixels" * 100)
    stripped = gzip.compress(b"pixels" * 100, mtime=1591323885)
    assert stripped != original
    assert verify(file, stripped, "here") == original


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08\x00", b"not gzip", gzip.compress(b"other", mtime=0)])
def test_other_bytes_are_refused_with_both_sums(content: bytes) -> None:
    file, _ = published("a-ubyte.gz", b"pixels")
    with pytest.raises(ChecksumMismatch, match=f"from here is not the published.*{file.sha256}"):
        verify(file, content, "here")


def test_a_wrong_md5_alone_refuses() -> None:
    file, original = published("a-ubyte.gz", b"pixels")
    with pytest.raises(ChecksumMismatch):
        verify(replace(file, md5="0" * 32), original, "here")


def test_the_four_files_are_distinct() -> None:
    assert len({file.sha256 for file in FILES}) == len({file.md5 for file in FILES}) == 4


def test_the_first_images_are_valid_files_of_that_many() -> None:
    images = np.arange(5 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(5, 28, 28)
    labels = np.array([3, 1, 4, 1, 5], dtype=np.uint8)
    contents = {TRAIN.images.name: idx(images), TRAIN.labels.name: idx(labels)}
    small = first_images(TRAIN, contents, 2)
    assert gzip.decompress(small[TRAIN.images.name]) == gzip.decompress(idx(images[:2]))
    assert gzip.decompress(small[TRAIN.labels.name]) == gzip.decompress(idx(labels[:2]))
    assert first_images(TRAIN, contents, 99).keys() == contents.keys()
