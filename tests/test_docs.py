"""The documents name what is there: targets, variables, folders, dependencies."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from docs import coverage
from localcluster.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
MAKEFILE = (REPOSITORY / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, flags=re.MULTILINE))


def test_every_make_target_that_a_document_names_exists() -> None:
    for document in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (REPOSITORY / document).read_text()
        named = set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^ {4}make ([a-z-]+)", text, re.MULTILINE))
        assert named - TARGETS == set(), document


@pytest.mark.parametrize(
    ("target", "variable", "words"),
    [
        ("gate", "REPORT_DIR=/some where", '--junitxml="/some where/junit.xml"'),
        ("gate", "REPORT_DIR=/some where", 'REPORT_DIR="/some where" '),
        ("gate", "REPORT_DIR=", 'REPORT_DIR="build/report" '),
        ("train", "TRAIN_DATA=mnist-train@master", '--set "data.train=mnist-train@master"'),
        ("search", "TRAIN_DATA=mnist-train@master", '--set "data.train=mnist-train@master"'),
    ],
)
def test_a_variable_that_a_document_names_reaches_its_stage(target: str, variable: str, words: str) -> None:
    name, _, value = variable.partition("=")
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=REPOSITORY, env={**os.environ, name: value}, capture_output=True, text=True
    )
    assert words in done.stdout, done.stderr


def test_a_misspelt_wish_for_no_training_does_not_train() -> None:
    done = subprocess.run(["make", "--dry-run", "train", "TRAIN=resue"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    assert "TRAIN=resue is neither new nor reuse" in done.stderr
    assert "submit" not in done.stdout


def test_every_stage_is_explained_in_the_readme() -> None:
    for target in (
        "demo",
        "data",
        "train",
        "search",
        "register",
        "gate",
        "image",
        "deploy",
        "predict",
        "lineage",
        "test",
    ):
        assert f"make {target}" in README


def test_every_setting_is_in_the_configuration_table() -> None:
    documented = set(re.findall(r"`(LOCALCLUSTER_[A-Z_]+)`", README))
    assert documented == set(Settings.from_environment({"LOCALCLUSTER_HOME": "/nowhere"}).environment())
    assert len(documented) == len(fields(Settings)) - 1, "cores is measured, not set"


def test_every_top_level_folder_is_listed() -> None:
    block = README.split("## Folders")[1].split("##")[0]
    packages = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")}
    assert packages - set(re.findall(r"^ {4}([a-z]+)/", block, flags=re.MULTILINE)) == set()


@pytest.mark.parametrize("name", ["main", "serving", "tools", "uv", "pipelines", "trial", "hadolint", "ci"])
def test_every_direct_dependency_is_explained(name: str) -> None:
    reasons = (REPOSITORY / "docs" / "dependencies.md").read_text()
    for line in (REPOSITORY / "requirements" / f"{name}.in").read_text().splitlines():
        package = re.split(r"[=<>\s]", line)[0]
        if package and not package.startswith("#") and not package.startswith(("types-", "grpc-stubs")):
            assert package in reasons, f"{package} of requirements/{name}.in"


@pytest.mark.parametrize("path", sorted((REPOSITORY / "requirements").rglob("*.txt")), ids=lambda path: path.name)
def test_locks_have_hashes_and_no_addresses(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    pinned = re.findall(r"^[A-Za-z0-9_.-]+(?:\[.*\])?==\S+(.*)$", text, flags=re.MULTILINE)
    assert pinned
    assert all(rest.endswith("\\") for rest in pinned)


def test_the_coverage_page_is_what_the_code_says() -> None:
    assert coverage.PAGE.read_text() == coverage.page(), "run: python -m docs.coverage"


def test_every_served_call_of_determined_has_a_test_that_exists() -> None:
    measured, again = coverage.determined_tests(), "run: python -m docs.coverage --measure"
    assert coverage.determined_served() - measured.keys() == set(), again
    for test in {test for tests in measured.values() for test in tests}:
        path, _, name = test.partition("::")
        assert f"\ndef {name}(" in (REPOSITORY / path).read_text(), again
