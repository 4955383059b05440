"""Reads a gzipped IDX file step by step, so that a report can say which step failed.

Source of the format: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits": two zero bytes, a
type code (8 is uint8), the number of dimensions, one big-endian 32-bit size a dimension, then the values in C order.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import sys
import zlib

import numpy as np
import numpy.typing as npt

from pipelines.checks import Check

LIMIT = 1 << 30
"""Bytes that a file may unpack to: twenty times the larger published one.  A small file could fill the memory."""

UINT8 = 0x08
WORDS_OF_TYPE = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


def read(
    name: str, content: bytes, dimensions: int, what: str = "file"
) -> tuple[list[Check], npt.NDArray[np.uint8] | None]:
    """The checks that could be made, and the uint8 array of `dimensions` if all of them hold.

    `what` names the checks, `name` the file in their reasons.
    """
    checks: list[Check] = []

    def holds(step: str, value: str, bound: str, passed: bool, reason: str) -> bool:
        checks.append(Check(f"{what}: {step}", value, bound, passed, "" if passed else f"{name}: {reason}"))
        return passed

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            plain = stream.read(LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:
        holds("gzip", f"{len(content)} bytes", "a whole gzip file", False, f"not a whole gzip file ({error})")
        return checks, None
    holds("gzip", f"{len(content)} bytes", "a whole gzip file", True, "")
    if len(plain) > LIMIT:
        holds("size", f"over {LIMIT} bytes", f"{LIMIT} bytes", False, f"unpacks to more than {LIMIT} bytes")
        return checks, None
    start = 4 + 4 * dimensions
    if len(plain) < start:
        holds("header", f"{len(plain)} bytes", f"{start} bytes", False, f"{len(plain)} bytes are no IDX header")
        return checks, None
    zero, kind, found = struct.unpack(">HBB", plain[:4])
    named = WORDS_OF_TYPE.get(kind, "unknown")
    steps = (
        holds("magic number", f"0x{plain[:2].hex()}", "0x0000", zero == 0, f"begins with 0x{plain[:4].hex()}, not IDX"),
        holds("type code", f"0x{kind:02x}", "0x08 (uint8)", kind == UINT8, f"type 0x{kind:02x} ({named}), not uint8"),
        holds("dimensions", str(found), str(dimensions), found == dimensions, f"{found} dimensions, not {dimensions}"),
    )
    if not all(steps):
        return checks, None
    shape = struct.unpack(f">{dimensions}I", plain[4:start])
    claimed, there = math.prod(shape), len(plain) - start
    sizes = " x ".join(map(str, shape))
    # Beside a 0 any size claims nothing; an array cannot have one that no address reaches.
    whole = claimed == there and math.prod(size or 1 for size in shape) <= sys.maxsize
    if not holds("length", f"{there} values", sizes, whole, f"header says {sizes} values, {there} follow"):
        return checks, None
    return checks, np.frombuffer(plain, np.uint8, offset=start).reshape(shape)
