"""The identity of a training run."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import provenance
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fmnist.conftest import REPOSITORY, SOURCE

NAMES = st.text(st.sampled_from("ab.-_0"), min_size=1, max_size=4).filter(
    lambda name: name.strip(".") and name != ".git"
)
TREES = st.recursive(st.binary(max_size=30), lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=10)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "core.autocrlf=false", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def write(folder: Path, tree: dict[str, object]) -> None:
    folder.mkdir()
    for name, content in tree.items():
        if isinstance(content, dict):
            write(folder / name, content)
        elif isinstance(content, bytes):
            (folder / name).write_bytes(content)


@settings(max_examples=25, deadline=None)
@given(tree=st.dictionaries(NAMES, TREES, min_size=1, max_size=4), executable=st.booleans())
def test_the_tree_id_is_gits(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object], executable: bool
) -> None:
    folder = tmp_path_factory.mktemp("tree") / "work"
    write(folder, {"train.py": b"print()\n", **tree})
    if (folder / "train.py").is_file() and executable:
        (folder / "train.py").chmod(0o755)
    git(folder, "init", "-q")
    git(folder, "add", "-f", ".")
    expected = git(folder, "write-tree")
    (folder / ".git").rename(folder.parent / "git")
    assert provenance.git_tree(folder) == expected


def test_byte_compiled_files_do_not_count(tmp_path: Path) -> None:
    write(tmp_path / "src", {"train.py": b"x"})
    before = provenance.git_tree(tmp_path / "src")
    write(tmp_path / "src" / "__pycache__", {"train.cpython-311.pyc": b"y"})
    (tmp_path / "src" / "old.pyc").write_bytes(b"z")
    assert provenance.git_tree(tmp_path / "src") == before


def test_the_tree_of_the_training_code_is_what_git_stores() -> None:
    if subprocess.run(["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"], capture_output=True, check=False).returncode:
        pytest.skip("not a git checkout")
    if git(SOURCE, "status", "--porcelain", "--", "."):
        pytest.skip("fmnist/model/src has uncommitted changes")
    assert provenance.git_tree(SOURCE) == git(SOURCE, "rev-parse", "HEAD:fmnist/model/src")


def test_the_uploader_sends_the_whole_tree() -> None:
    """Determined sends no .detignore, so with one in the folder the tree could never be the one git stores."""
    assert not list(SOURCE.rglob(".detignore"))


def test_the_config_hash_sees_settings_only() -> None:
    config = yaml.safe_load((SOURCE / "const.yaml").read_text())
    same = {
        **config,
        "data": {**config["data"], "provenance": {"git_commit": "0" * 40}},
        "checkpoint_storage": {"type": "directory", "container_path": "/anywhere"},
    }
    other = {**config, "hyperparameters": {**config["hyperparameters"], "epochs": 1}}
    assert provenance.config_sha256(same) == provenance.config_sha256(config)
    assert provenance.config_sha256(other) != provenance.config_sha256(config)


def test_a_config_without_a_submitter_leaves_git_open() -> None:
    collected = provenance.collect(
        config={"data": {"train": "repo@master"}},
        data={"data_train": {"repo": "repo", "branch": "master", "commit": "c" * 32}, "data_feedback": None},
        source=SOURCE,
        experiment_id=1,
        trial_id=2,
        seed=3,
    )
    assert collected["git"] == {"commit": None, "dirty": None}
    assert collected["lock_sha256"] is None


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.py")), ids=lambda path: path.name)
def test_the_training_code_stands_alone(path: Path) -> None:
    """A trial sees this folder and the environment, nothing else of the repository."""
    siblings = {module.stem for module in SOURCE.glob("*.py")}
    installed = {"determined", "grpc", "numpy", "pachyderm_sdk", "tensorflow", "yaml"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported = {str(node.module).split(".")[0]}
        else:
            continue
        assert imported <= siblings | installed | set(sys.stdlib_module_names)
