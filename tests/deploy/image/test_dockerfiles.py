"""The Dockerfiles: clean for hadolint, one base by digest, and a build context without anything that is not copied."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from deploy.release import image, images
from localcluster.settings import REPOSITORY

RECIPES = {made.dockerfile: made for made in (image.BASE, *(made for _, made in images.IMAGES.values()))}


@pytest.fixture(scope="session")
def hadolint() -> Path:
    """In an environment of its own, as its lock says."""
    environment = Path("build/hadolint")
    command = ["requirements/install.sh", str(environment), "hadolint.txt"]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, timeout=240)
    return REPOSITORY / environment / "bin" / "hadolint"


def test_every_dockerfile_is_clean(hadolint: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*Dockerfile*"], cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=30
    )
    assert set(tracked.stdout.split()) == set(RECIPES)
    done = subprocess.run([hadolint, *RECIPES], cwd=REPOSITORY, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_finds_something_in_a_bad_one(hadolint: Path, tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:latest\nRUN cd /tmp && pip install flask\nUSER root\n")
    done = subprocess.run([hadolint, bad], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "DL3007" in done.stdout


def test_all_stand_on_the_same_base_by_digest() -> None:
    assert len({made.base() for made in RECIPES.values()}) == 1


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_copied_is_in_the_context_and_in_the_hash(name: str) -> None:
    """`.dockerignore` lets exactly that through of which the tag is a hash."""
    copied = re.findall(r"^COPY (?!--from)(\S+)", (REPOSITORY / name).read_text(), flags=re.MULTILINE)
    assert copied == [source.removesuffix("/**/*") for source in RECIPES[name].sources]
    let_through = (REPOSITORY / ".dockerignore").read_text()
    assert all(f"!{source.split('/')[0]}" in let_through for source in copied)


@pytest.mark.parametrize("name", RECIPES)
def test_the_last_user_is_a_number_that_is_not_root(name: str) -> None:
    *_, user = re.findall(r"^USER (\d+):\d+$", (REPOSITORY / name).read_text(), flags=re.MULTILINE)
    assert int(user) > 10_000


def test_the_s2i_environment_is_the_image_s() -> None:
    variables = dict(each.split("=") for each in image.ENVIRONMENT)
    assert variables["MODEL_NAME"] == "FashionClassifier" == image.RUNTIME["Cmd"][0]
    assert variables["SERVICE_TYPE"] == "MODEL" == image.RUNTIME["Cmd"][2]
    assert (REPOSITORY / "deploy" / f"{variables['MODEL_NAME']}.py").exists()
    assert image.RUNTIME["Env"] == image.ENVIRONMENT
