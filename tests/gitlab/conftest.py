"""The tools that the pipeline checks with, and one project whose first version is live."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.fashion_classifier.model import Classifier
from tests.deploy.conftest import untrained
from tests.e2e.conftest import REPOSITORY, SERVICES, Checkout, free_ports
from tests.gitlab import project as projects
from tests.gitlab.project import Project

SETTINGS = {
    "PYTEST_ARGS": "tests/data/test_catalog.py",  # the suite does not run inside itself
    "CANARY_STEPS": "30",
    "SCAN_WITHOUT_DATABASE": "warn",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
}


@pytest.fixture(scope="session")
def tools() -> Path:
    """Where check-jsonschema, detect-secrets, pip-audit and syft are."""
    subprocess.run(["requirements/install.sh", "build/ci", "ci.txt"], cwd=REPOSITORY, check=True)
    return REPOSITORY / "build" / "ci" / "bin"


@pytest.fixture(scope="session")
def gitlab_ci_local() -> None:
    """It is installed; skips, saying what is missing, where Node or rsync are not and cannot be installed."""
    command = ["requirements/gitlab-ci-local/install.sh"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(done.stderr)


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, tools: Path, gitlab_ci_local: None
) -> Iterator[Project]:
    """Version 1 is live, and right about every image of the test split."""
    folder = tmp_path_factory.mktemp("gitlab")
    directory, home = folder / "project", folder / "home"
    home.mkdir()
    projects.copy(directory)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LOCALCLUSTER_", "DET_", "MAKE", "PYTEST_", "CI_"))
        and name not in ("PACH_CONFIG", "KUBECONFIG", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    }
    ports = dict(zip((f"LOCALCLUSTER_{name}_PORT" for name in SERVICES), map(str, free_ports(4)), strict=True))
    caches = {"MYPY_CACHE_DIR": str(REPOSITORY / ".mypy_cache"), "HOME": str(home)}
    checkout = Checkout(directory, inherited | ports | caches | SETTINGS)
    try:
        checkout.make("up")
        serving = untrained(pytestconfig, 11)
        train_commit = projects.upload(
            Path(checkout.clients().environment["PACH_CONFIG"]), Classifier(serving / "model.tflite")
        )
        running = Project(checkout.clients(), train_commit)
        running.checkout.run("det", "model", "create", "fashion-classifier")
        running.register(running.train(serving, folder / "first"))
        running.checkout.make("image", "deploy")
        yield running
    finally:
        checkout.run(".venv/bin/python", "-m", "localcluster", "down", check=False)
