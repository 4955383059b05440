"""The lock of the image of Determined's tasks holds what a trial imports, as the working environment has it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
IMPORT = """
import importlib.metadata, json, re, sys
locked, owners = set(json.loads(sys.argv[1])), importlib.metadata.packages_distributions()
class Image:
    def find_spec(self, name, path=None, target=None):
        if name in owners and not locked & {re.sub("[._]", "-", owner.lower()) for owner in owners[name]}:
            raise ModuleNotFoundError(f"the image has no {name}")
sys.meta_path.insert(0, Image())
import train
"""


def versions(lock: str) -> dict[str, str]:
    text = (REPOSITORY / "requirements" / lock).read_text()
    return {
        re.sub("[._]", "-", name.lower()): version
        for name, version in re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", text, flags=re.MULTILINE)
    }


def test_the_lock_of_the_image_has_the_versions_of_the_working_environment() -> None:
    assert versions("trial.txt").items() <= versions("main.txt").items()
    assert {"determined", "tensorflow-cpu", "pachyderm-sdk"} <= versions("trial.txt").keys()


@pytest.mark.slow
def test_the_image_has_what_a_trial_imports() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, json.dumps([*versions("trial.txt")])],
        cwd=REPOSITORY / "fmnist" / "model" / "src",
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
