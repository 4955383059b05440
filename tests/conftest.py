"""Fixtures that every suite may need: free ports, an isolated home, small splits of real-looking data."""

from __future__ import annotations

import gzip
import socket
import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest


def idx(values: npt.NDArray[np.uint8]) -> bytes:
    """A gzipped IDX file of uint8 values of any shape."""
    header = struct.pack(f">{1 + values.ndim}I", 0x0800 | values.ndim, *values.shape)
    return gzip.compress(header + values.tobytes(), mtime=0)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Ports that nobody listened on a moment ago."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find
