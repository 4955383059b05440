"""The image that `make image REGISTRY=…` pushes, pulled by its digest and run: it answers as the model does.

What runs is the image's own root file system, Python included, with nothing of this machine's.  That all of it is
built here, from Debian's and PyPI's packages, takes minutes; test_push.py has what does not need a whole base.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deploy.fashion_classifier.model import Classifier
from deploy.release import files, image, recipe, skopeo
from deploy.release.registry import Registered
from tests.deploy.conftest import CHECKPOINT
from tests.deploy.image.sandbox import Sandbox

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("image"), pytest.mark.timeout(1800)]

LIMIT = 350_000_000
"""Bytes beyond the base."""


@pytest.fixture(scope="module")
def sandbox(python_base: str, registered: Registered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Version 3, built, pushed, pulled by its digest, unpacked and started."""
    directory = tmp_path_factory.mktemp("image")
    record = image.push(registered, directory / "layout", os.environ["REGISTRY"], revision="f" * 40, epoch=0)
    running = Sandbox.pull(record["reference"], directory / "log")
    try:
        running.start("/health/status")
        yield running
    finally:
        running.stop()


def test_it_answers_as_the_registered_model_does(sandbox: Sandbox, classifier: Classifier) -> None:
    images = np.random.default_rng(4).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    message = {"data": {"tensor": {"shape": [3, 28, 28], "values": images.ravel().tolist()}}}
    answer = sandbox.ask("/api/v1.0/predictions", message)
    found = np.array(answer["data"]["tensor"]["values"], np.float32).reshape(3, 10)
    np.testing.assert_array_equal(found, classifier.probabilities(images))
    assert answer["meta"]["tags"]["model_version"] == "3"
    assert answer["meta"]["tags"]["checkpoint"] == CHECKPOINT


def test_it_runs_as_another_user_without_capabilities(sandbox: Sandbox) -> None:
    status = sandbox.status()
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"10001"}
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_nothing_can_be_written_but_below_tmp(sandbox: Sandbox) -> None:
    for path in ("/app/x", "/model/x", "/opt/venv/x", "/var/tmp/x"):
        done = sandbox.run("python", "-c", f"open({path!r}, 'w')")
        assert "Errno 30" in done.stderr, done.stderr
    assert sandbox.run("python", "-c", "open('/tmp/x', 'w')").returncode == 0


def test_a_changed_byte_and_it_does_not_start(sandbox: Sandbox, tmp_path: Path) -> None:
    damaged = tmp_path / "model"
    shutil.copytree(sandbox.root / "model", damaged)
    content = bytearray((damaged / "labels.json").read_bytes())
    content[10] ^= 1
    (damaged / "labels.json").write_bytes(content)
    done = sandbox.run(folder=damaged, place="/model")
    assert done.returncode != 0
    assert "/model/labels.json has SHA-256" in done.stderr


def test_the_feedback_sender_starts_from_the_same_image(sandbox: Sandbox) -> None:
    done = sandbox.run("python", "-c", "import fashion_classifier.sender as sender; print(sender.__file__)")
    assert done.stdout.strip() == "/app/fashion_classifier/sender.py", done.stderr


def test_it_holds_the_serving_lock_and_no_tensorflow(sandbox: Sandbox) -> None:
    program = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    done = sandbox.run("/opt/venv/bin/python", "-I", "-c", program)
    lock = (files.REPOSITORY / "requirements" / "serving.txt").read_text()
    found = {normal(each) for each in done.stdout.split()}
    assert found == {normal(each) for each in re.findall(r"^[\w.-]+==\S+", lock, flags=re.MULTILINE)}
    assert not any("tensorflow" in each for each in found)


def test_it_is_small(sandbox: Sandbox) -> None:
    sizes = {name: size_of(sandbox.root / name) for name in ("opt/venv", "app", "model")}
    assert 0 < sum(sizes.values()) < LIMIT


def test_the_base_built_again_is_the_same(sandbox: Sandbox) -> None:
    assert sandbox.root
    repository = f"{os.environ['REGISTRY']}/fashion-classifier"
    recipe.build(image.BASE, f"{repository}:again")
    first, again = (skopeo.manifest(f"{repository}:{tag}") for tag in (f"base-{image.BASE.key()}", "again"))
    assert first == again


def normal(pinned: str) -> tuple[str, str]:
    """Name and version of `name==version`, the name as package indexes compare it."""
    name, _, version = pinned.partition("==")
    return re.sub("[._]", "-", name.lower()), version


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
