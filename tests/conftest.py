"""Fixtures that every suite may need: free ports, an isolated home, small splits of real-looking data."""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
from collections.abc import Callable

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest

# Neither chance nor a busy machine decides a test: the same examples each time.  make test-long looks for others.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=500, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# A shell that knows a cluster, by `localcluster env` or as a pipeline's job, must not lend it to the tests, nor what
# docs/pipeline.md has a project set for its deployments: its token, for one, would go to the tests' own servers.
LENT = (
    *("DET_MASTER", "DET_USER", "DET_PASS", "PACH_CONFIG", "KUBECONFIG", "INGRESS_URL", "INGRESS_TOKEN"),
    *("REGISTRY", "REGISTRY_AUTH_FILE", "IMAGE_LAYOUT", "BASE", "PIPELINES_IMAGE", "TRIAL_IMAGE", "OVERLAY"),
    *("MODEL_NAME", "MODEL_VERSION", "VERSION", "TRAIN_DATA", "TEST_DATA", "CONFIG", "TRAIN_SET"),
    *("ACCURACY_THRESHOLD", "CLASS_FLOOR", "PRODUCTION_MARGIN", "CANARY_STEPS", "SCAN_WITHOUT_DATABASE"),
)
for variable in LENT:
    os.environ.pop(variable, None)


def idx(values: npt.NDArray[np.uint8]) -> bytes:
    """A gzipped IDX file of uint8 values of any shape."""
    header = struct.pack(f">{1 + values.ndim}I", 0x0800 | values.ndim, *values.shape)
    return gzip.compress(header + values.tobytes(), mtime=0)


def npy(values: npt.NDArray[np.uint8]) -> bytes:
    """An array file, as the validated splits hold them."""
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()


def validated(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> dict[str, bytes]:
    """The files of a split that a reader accepts, by name."""
    return {"images.npy": npy(images), "labels.npy": npy(labels), "report.json": b'{"verdict": "passed"}'}


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Ports that nobody listened on a moment ago."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find
