"""The genuine kubectl and helm, an installation that talks to nobody, and the genuine charts where there are any."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

import pytest

from deploy.release.files import REPOSITORY
from localcluster.kubernetes import tools
from tests.deploy.cluster.installation import Installation, releases


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tools.extract("kubectl", tmp_path_factory.getbasetemp().parent / "kubectl-under-test")


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tools.extract("helm", tmp_path_factory.getbasetemp().parent / "helm-under-test")


@pytest.fixture(autouse=True)
def called(kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that deploy.release calls."""
    monkeypatch.setenv("KUBECTL", str(kubectl))


@pytest.fixture
def installation(tmp_path: Path, kubectl: Path) -> Installation:
    return Installation(tmp_path, kubectl)


@pytest.fixture(scope="session")
def charts() -> Path:
    """The folder with the charts of charts.txt, `$CHARTS` or build/charts."""
    folder = Path(os.environ.get("CHARTS") or REPOSITORY / "build" / "charts")
    missing = [each["chart"] for each in releases() if not (folder / each["chart"] / "Chart.yaml").exists()]
    if missing:
        pytest.skip(f"not rendered: no {', '.join(missing)} in {folder}; make cluster-charts brings the charts")
    return folder


@pytest.fixture(scope="session")
def shellcheck() -> Path:
    found = shutil.which("shellcheck", path=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    assert found, "no shellcheck beside this Python: make env"
    return Path(found)
