"""requirements/install.sh: when it installs, and into whose environment; uv only writes down what it is asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

UV = """#!/bin/sh
printf '%s\\n' "$*" >>build/asked
"""


def make_checkout(directory: Path) -> Path:
    """What install.sh needs of a checkout."""
    uv = directory / "build" / "uv" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text(UV)
    uv.chmod(0o755)
    (directory / "requirements").mkdir()
    shutil.copy2(REPOSITORY / "requirements" / "install.sh", directory / "requirements")
    for name in ("requirements/main.txt", "requirements/tools.txt", "pyproject.toml"):
        (directory / name).write_text(name)
    return directory


def install(checkout: Path) -> tuple[subprocess.CompletedProcess[str], str]:
    """How `make env` ends there, and what uv was asked."""
    (checkout / "build" / "asked").unlink(missing_ok=True)
    command = ["requirements/install.sh", ".venv", "main.txt", "tools.txt", "."]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60, check=False)
    asked = checkout / "build" / "asked"
    return done, asked.read_text() if asked.exists() else ""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "a check out")


def test_nothing_is_done_where_the_locks_are_the_same(checkout: Path) -> None:
    done, asked = install(checkout)
    assert done.returncode == 0, done.stderr
    assert "--editable ." in asked
    assert install(checkout)[1] == ""
    (checkout / "requirements" / "main.txt").write_text("another version")
    assert "sync" in install(checkout)[1]


def test_an_interrupted_installation_is_not_taken_for_the_one_before(checkout: Path) -> None:
    install(checkout)
    uv, lock = checkout / "build" / "uv" / "bin" / "uv", checkout / "requirements" / "main.txt"
    before = lock.read_text()
    lock.write_text("another version")
    uv.write_text("#!/bin/sh\nexit 1\n")
    assert install(checkout)[0].returncode == 1
    uv.write_text(UV)
    lock.write_text(before)
    assert "sync" in install(checkout)[1]


def test_a_linked_environment_is_used_and_not_changed(checkout: Path, tmp_path: Path) -> None:
    """Installed from here, the other checkout's pipelines would be those of this one, and gone when it goes."""
    install(checkout)
    borrower = make_checkout(tmp_path / "borrower")
    (borrower / ".venv").symlink_to(checkout / ".venv")
    done, asked = install(borrower)
    assert (done.returncode, asked) == (0, "")
    (borrower / "requirements" / "main.txt").write_text("another version")
    done, asked = install(borrower)
    assert (done.returncode, asked) == (1, "")
    assert f".venv is that of {checkout}, which has other locks" in done.stderr


def test_an_environment_is_made_whole_for_a_checkout_that_is_left_of_two(checkout: Path, tmp_path: Path) -> None:
    """What was installed editable from a checkout is gone with it."""
    install(checkout)
    kept = tmp_path / "kept" / "environment"
    kept.parent.mkdir()
    (checkout / ".venv").rename(kept)
    heir = make_checkout(tmp_path / "heir")
    for each in (checkout, heir):
        (each / ".venv").symlink_to(kept)
    assert "--editable ." in install(checkout)[1]
    assert install(heir)[1] == ""
    shutil.rmtree(checkout)
    assert "--editable ." in install(heir)[1]
    assert install(heir)[1] == ""


def test_a_copied_checkout_gets_an_environment_of_its_own(checkout: Path, tmp_path: Path) -> None:
    install(checkout)
    copy = shutil.copytree(checkout, tmp_path / "copy")
    done, asked = install(copy)
    assert done.returncode == 0, done.stderr
    assert "venv -q --clear" in asked
