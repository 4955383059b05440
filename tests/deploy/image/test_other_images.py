"""The images of the pipelines and of Determined's tasks do their work, as built, without a network and without root."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from data.catalog import CLASS_NAMES, TEST
from deploy.release import files, images, programs
from tests.conftest import idx
from tests.deploy.image.sandbox import Sandbox
from tests.pipelines.samples import generated

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("image"), pytest.mark.timeout(3600)]


@pytest.fixture
def made(python_base: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    """The image that a variable is to name, as `make images` builds and pushes it."""
    assert python_base
    only = {request.param: images.IMAGES[request.param]}
    with mock.patch.object(images, "IMAGES", only), mock.patch.object(images, "RECORD", tmp_path / "images.env"):
        assert images.main() == 0
    reference = (tmp_path / "images.env").read_text().strip().partition("=")[2]
    yield Sandbox.pull(reference, tmp_path / "log")
    programs.run("buildah", "rm", "--all")
    programs.run("buildah", "rmi", reference)


@pytest.mark.parametrize("made", ["PIPELINES_IMAGE"], indirect=True)
def test_a_pipeline_validates_a_split(made: Sandbox, tmp_path: Path) -> None:
    pixels, labels = generated(600, seed=1)
    pfs = tmp_path / "pfs"
    for name, values in ((TEST.images.name, pixels), (TEST.labels.name, labels)):
        (pfs / TEST.repo).mkdir(parents=True, exist_ok=True)
        (pfs / TEST.repo / name).write_bytes(idx(values))
    (pfs / "out").mkdir()
    (pfs / "out").chmod(0o777)
    variables = ("PFS_DIR=/mnt", f"CLASS_NAMES={','.join(CLASS_NAMES)}", f"{TEST.repo}_COMMIT={'4' * 32}")
    done = made.run("env", *variables, "python3", "-m", "pipelines.fmnist_test", folder=pfs)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(pfs / "out" / "images.npy"), pixels)
    assert (pfs / "out" / "report.html").stat().st_uid == 65532


@pytest.mark.parametrize("made", ["TRIAL_IMAGE"], indirect=True)
def test_a_trial_s_code_can_be_imported_and_nothing_is_installed_at_start(made: Sandbox, tmp_path: Path) -> None:
    source = tmp_path / "src"
    shutil.copytree(files.REPOSITORY / "fmnist" / "model" / "src", source)
    program = "import sys; sys.path.insert(0, '/mnt'); import train, determined; print(determined.__version__)"
    done = made.run("python3", "-c", program, folder=source)
    assert done.stdout.strip() == "0.38.1", done.stderr
    # What Determined's entrypoint asks before it would run pip.
    assert made.run("printenv", "DET_SKIP_PIP_INSTALL").stdout.strip()
    assert "No module named pip" in made.run("python3", "-m", "pip").stderr
