"""Reads the IDX format, in which the data set is published.

Source of the format: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits": a big-endian
magic number (two zero bytes, the type code 8 for uint8, the number of dimensions), one 32-bit size a dimension,
then the values in C order.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from data.errors import InvalidIdx

UINT8 = 0x08


def read_images(stream: BinaryIO) -> npt.NDArray[np.uint8]:
    """Images of a gzipped IDX stream: uint8 [n, 28, 28], 0 is background.  Raises InvalidIdx."""
    images = _read(stream, dimensions=3)
    if images.shape[1:] != (28, 28):
        raise InvalidIdx(f"images are {images.shape[1]}x{images.shape[2]} pixels; Fashion-MNIST has 28x28")
    return images


def read_labels(stream: BinaryIO) -> npt.NDArray[np.uint8]:
    """Labels of a gzipped IDX stream: uint8 [n], 0 to 9.  Raises InvalidIdx."""
    labels = _read(stream, dimensions=1)
    if labels.size and labels.max() > 9:
        raise InvalidIdx(f"label {labels.max()} at position {labels.argmax()}; Fashion-MNIST has 0 to 9")
    return labels


def _read(stream: BinaryIO, dimensions: int) -> npt.NDArray[np.uint8]:
    try:
        content = gzip.decompress(stream.read())
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidIdx(f"not a whole gzip file: {error}") from error
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise InvalidIdx(f"{len(content)} bytes after unpacking; the header alone has {header}")
    magic, *sizes = struct.unpack(f">{1 + dimensions}I", content[:header])
    expected = (UINT8 << 8) | dimensions
    if magic != expected:
        raise InvalidIdx(f"magic number 0x{magic:08x}; expected 0x{expected:08x} (uint8, {dimensions} dimensions)")
    values = np.frombuffer(content, dtype=np.uint8, offset=header)
    count = int(np.prod(sizes, dtype=np.uint64))
    if values.size != count:
        raise InvalidIdx(f"{values.size} values; the header says {' x '.join(map(str, sizes))} = {count}")
    return values.reshape(sizes)
