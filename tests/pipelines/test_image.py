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
IMPORT = """
import importlib, importlib.metadata, json, sys
module, locked = sys.argv[1], set(json.loads(sys.argv[2]))
owners = importlib.metadata.packages_distributions()
class Image:
    def find_spec(self, name, path=None, target=None):
        if name in owners and not locked & {owner.lower() for owner in owners[name]}:
            raise ModuleNotFoundError(f"the image has no {name}")
sys.meta_path.insert(0, Image())
importlib.import_module(module)
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_the_image_has_what_a_pipeline_imports(module: str) -> None:
    lock = (REPOSITORY / "requirements" / "pipelines.txt").read_text()
    locked = re.findall(r"^([\w.-]+)==", lock, flags=re.MULTILINE)
    # The Dockerfile copies these two; the working environment has them installed.
    available = json.dumps([*locked, "fashion-classifier-pipelines"])
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, module, available], cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_image_copies_the_packages() -> None:
    dockerfile = (REPOSITORY / "pipelines" / "Dockerfile").read_text()
    for package in ("data", "pipelines"):
        assert f"COPY {package} /app/{package}" in dockerfile


def test_the_lock_of_the_image_has_the_versions_of_the_working_environment() -> None:
    versions = [
        dict(re.findall(r"^([\w.-]+)==(\S+)", (REPOSITORY / "requirements" / name).read_text(), flags=re.MULTILINE))
        for name in ("pipelines.txt", "main.txt")
    ]
    assert versions[0].items() <= versions[1].items()
