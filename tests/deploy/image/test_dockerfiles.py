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
    copied = re.findall(r"^COPY (?!--from)(\S+)", (REPOSITORY / name).read_text(), flags=re.MULTILINE)
    lock, *code = RECIPES[name].sources
    assert copied == [lock, *dict.fromkeys(source.partition("/")[0] for source in code)]


def test_the_context_has_exactly_that_of_which_the_tags_are_hashes() -> None:
    """What else lies in a copied folder, data or a credential, is in no image."""
    ignored = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    code = {f"!{source}" for made in RECIPES.values() for source in made.sources[1:]}
    assert ignored[0] == "*"
    assert set(ignored[1:]) == code | {"!requirements/*.txt"}
    assert all("**" not in line and re.search(r"\*\.\w+$", line) for line in ignored[1:])


def test_all_that_the_pipelines_code_needs_is_copied() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "data", "pipelines"], cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=30
    )
    _, *code = RECIPES["pipelines/Dockerfile"].sources
    copied = {path.relative_to(REPOSITORY) for source in code for path in REPOSITORY.glob(source)}
    left_out = {Path(name) for name in tracked.stdout.split()} - copied
    # The image itself, what is said to Pachyderm's and GitLab's servers, and nothing that a worker reads.
    assert {str(path) for path in left_out if path.parent != Path("pipelines/gitlab")} == {
        "pipelines/Dockerfile",
        *(str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("pipelines/fmnist-*.json")),
    }


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
