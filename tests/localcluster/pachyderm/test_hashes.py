"""A file's hash is upstream's, by values that its own library gives, and does not depend on how the bytes come."""

from __future__ import annotations

import hashlib
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.pachyderm.hashes import LONGEST, SHORTEST, FileHash, digest

CONTENT = random.Random(6).randbytes(12_000_000)
EXPECTED = "5166d87156550e23d028add7fb65e87867ae393172786da93a7c673452dded81"
ZEROS = bytes(LONGEST)
"""Never meets the condition for the end of a chunk."""


def hashed(*pieces: bytes) -> str:
    file = FileHash()
    for piece in pieces:
        file.update(piece)
    assert file.content() == hashlib.blake2b(b"".join(pieces), digest_size=32).digest()
    return file.digest().hex()


def test_a_small_files_hash_is_that_of_its_contents() -> None:
    for data in (b"1", CONTENT[: SHORTEST - 1]):
        assert hashed(data) == digest(digest(data).digest()).hexdigest()
    assert hashed() == hashed(b"") == digest().hexdigest()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (2_500_000, "01935450c037be7540cba3bb04282f762642241b852c10501b3b2a0c69f8a0b3"),
        (1_000_000, "b37a23aff058344de71131e66fe81197a775590a423732362b6de95ea047e89d"),
        # Upstream ends such a file with a chunk of no bytes.
        (LONGEST, "a941f999fbe87eda34f13f6603a19330df939e08738d655860561864cd558719"),
    ],
)
def test_zeros_end_a_chunk_only_at_its_greatest_length(size: int, expected: str) -> None:
    assert hashed(ZEROS[:size]) == expected


def test_chunks_end_where_upstream_ends_them() -> None:
    assert hashed(CONTENT) == EXPECTED


@pytest.mark.slow
@given(st.lists(st.integers(0, len(CONTENT)), max_size=8))
def test_pieces_of_any_size_make_the_same_hash(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(CONTENT)]
    assert hashed(*(CONTENT[begin:end] for begin, end in pairwise(places))) == EXPECTED
