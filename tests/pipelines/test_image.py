"""The image of the pipelines holds what their code imports: the lock names it, and the Dockerfile copies it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = sorted(
    json.loads(path.read_text())["transform"]["cmd"][2] for path in (REPOSITORY / "pipelines").glob("*.json")
)
LOADED = """
import importlib, importlib.metadata, json, sys
importlib.import_module(sys.argv[1])
owners = importlib.metadata.packages_distributions()
names = {name.partition(".")[0] for name in sys.modules}
print(json.dumps([
    sorted({owner.lower() for name in names if name not in sys.stdlib_module_names for owner in owners.get(name, ())}),
    sorted(name for name in names if name in ("data", "pipelines", "fmnist", "deploy", "localcluster", "demo")),
]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_the_image_has_what_a_pipeline_imports(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, module], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    distributions, packages = json.loads(done.stdout)
    lock = (REPOSITORY / "requirements" / "pipelines.txt").read_text()
    locked = set(re.findall(r"^([\w.-]+)==", lock, flags=re.MULTILINE))
    # The checkout itself, and the start-up hook of the environment that it is installed in.
    assert set(distributions) - locked - {"setuptools", "fashion-classifier-pipelines"} == set()
    dockerfile = (REPOSITORY / "pipelines" / "Dockerfile").read_text()
    for package in packages:
        assert f"COPY {package} /app/{package}" in dockerfile


def test_the_lock_of_the_image_has_the_versions_of_the_working_environment() -> None:
    versions = [
        dict(re.findall(r"^([\w.-]+)==(\S+)", (REPOSITORY / "requirements" / name).read_text(), flags=re.MULTILINE))
        for name in ("pipelines.txt", "main.txt")
    ]
    assert versions[0].items() <= versions[1].items()
