"""The four published files of Fashion-MNIST, what proves them, and the repos they belong to.

Sizes and MD5 sums: README of the data set (H. Xiao, K. Rasul, R. Vollgraf, arXiv 1708.07747).  The SHA-256 sums are
pinned here because MD5 no longer proves anything on its own.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass

from data.errors import ChecksumMismatch

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True)
class PublishedFile:
    """One published file; `size` in bytes, `modified` is the gzip header's time stamp in Unix seconds."""

    name: str
    size: int
    md5: str
    sha256: str
    modified: int


@dataclass(frozen=True)
class Split:
    """The files of one split and the Pachyderm repo that holds them."""

    repo: str
    images: PublishedFile
    labels: PublishedFile

    @property
    def files(self) -> tuple[PublishedFile, PublishedFile]:
        """Both files, images first."""
        return (self.images, self.labels)


TRAIN = Split(
    repo="fmnist-train-raw",
    images=PublishedFile(
        name="train-images-idx3-ubyte.gz",
        size=26421880,
        md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        modified=1504176606,
    ),
    labels=PublishedFile(
        name="train-labels-idx1-ubyte.gz",
        size=29515,
        md5="25c81989df183df01b3e8a0aad5dffbe",
        sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        modified=1504176606,
    ),
)
TEST = Split(
    repo="fmnist-test-raw",
    images=PublishedFile(
        name="t10k-images-idx3-ubyte.gz",
        size=4422102,
        md5="bef4ecab320f06d8554ea6380940ec79",
        sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        modified=1504176627,
    ),
    labels=PublishedFile(
        name="t10k-labels-idx1-ubyte.gz",
        size=5148,
        md5="bb300cfdad3c16e7a12a480ee83cd310",
        sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        modified=1504176627,
    ),
)
SPLITS = (TRAIN, TEST)
FILES = TRAIN.files + TEST.files


def verify(file: PublishedFile, content: bytes, origin: str) -> bytes:
    """The published bytes of `file`, proven by size, MD5 and SHA-256; raises ChecksumMismatch.

    Distributions strip name and time from gzip headers to make their packages reproducible; the compressed data
    stay the same, so putting both back restores the published file to the byte.
    """
    for candidate in (content, _with_published_header(file, content)):
        if (
            len(candidate) == file.size
            and hashlib.md5(candidate, usedforsecurity=False).hexdigest() == file.md5
            and hashlib.sha256(candidate).hexdigest() == file.sha256
        ):
            return candidate
    raise ChecksumMismatch(
        f"{file.name} from {origin} is not the published file: {len(content)} bytes with SHA-256 "
        f"{hashlib.sha256(content).hexdigest()}; expected {file.size} bytes with {file.sha256}. "
        "Remove the file, or name a folder with the original files (DATA_DIR=...)."
    )


def _with_published_header(file: PublishedFile, content: bytes) -> bytes:
    minimal_header = 10  # RFC 1952, section 2.3: no optional field when the flag byte is zero
    if content[:3] != b"\x1f\x8b\x08" or content[3:4] != b"\0":
        return content
    name = file.name.removesuffix(".gz").encode("ascii") + b"\0"
    header = b"\x1f\x8b\x08\x08" + struct.pack("<IBB", file.modified, 0, 3)
    return header + name + content[minimal_header:]


def first_images(split: Split, contents: dict[str, bytes], count: int) -> dict[str, bytes]:
    """The first `count` images and labels of a split as IDX files again, for a quick run of the whole chain."""
    return {
        split.images.name: _first(contents[split.images.name], count, dimensions=3),
        split.labels.name: _first(contents[split.labels.name], count, dimensions=1),
    }


def _first(content: bytes, count: int, dimensions: int) -> bytes:
    plain = gzip.decompress(content)
    header = 4 + 4 * dimensions
    magic, total, *sizes = struct.unpack(f">{1 + dimensions}I", plain[:header])
    kept = min(count, total)
    item = 1
    for size in sizes:
        item *= size
    data = struct.pack(f">{1 + dimensions}I", magic, kept, *sizes) + plain[header : header + kept * item]
    return gzip.compress(data, compresslevel=zlib.Z_BEST_SPEED, mtime=0)
