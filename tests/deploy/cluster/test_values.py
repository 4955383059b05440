"""What can be said of our values without the charts: that they are complete, pinned, and hold no secret."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.release.files import REPOSITORY
from tests.deploy.cluster.installation import CLUSTER, PLAIN, SECRETS, releases

VALUES = CLUSTER / "values"


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is neither mapping nor list, with its path."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, str(index)) if isinstance(inner, dict) else path)
    else:
        yield path, value


def test_every_release_has_its_values_and_one_version() -> None:
    assert {path.stem for path in VALUES.glob("*.yaml")} == {each["release"] for each in releases()}
    for each in releases():
        assert re.fullmatch(r"\d+\.\d+\.\d+", each["version"])
        assert each["repository"].startswith("https://")
    assert len({each["version"] for each in releases() if "istio" in each["release"]}) == 1


@pytest.mark.parametrize(
    ("release", "lock", "package"),
    [
        ("determined", "main", "determined"),
        ("pachyderm", "main", "pachyderm-sdk"),
        ("seldon-core", "serving", "seldon-core"),
    ],
)
def test_a_server_has_the_version_of_its_client(release: str, lock: str, package: str) -> None:
    (version,) = (each["version"] for each in releases() if each["release"] == release)
    assert f"\n{package}=={version} " in (REPOSITORY / "requirements" / f"{lock}.txt").read_text()


def test_no_value_is_a_secret() -> None:
    secretive = re.compile(r"password|secret|token|credential|accesskey|^id$", re.IGNORECASE)
    names = {"", "registry", "pachyderm-credentials", "pachyderm-client", "postgresql-password"}
    for path in VALUES.glob("*.yaml"):
        for where, value in leaves(yaml.safe_load(path.read_text())):
            if secretive.search(where[-1]) and isinstance(value, str):
                assert value in names, where


def test_every_namespace_is_made_before_it_is_used() -> None:
    made = {each["metadata"]["name"] for each in yaml.safe_load_all((CLUSTER / "namespaces.yaml").read_text())}
    assert made >= {each["namespace"] for each in releases()}
    staging = yaml.safe_load((REPOSITORY / "deploy/overlays/staging/namespace.yaml").read_text())
    assert staging["metadata"]["name"] in made


def test_the_readme_tells_every_variable_and_every_release() -> None:
    readme = (CLUSTER / "README.md").read_text()
    script = (CLUSTER / "install.sh").read_text()
    for name in (*SECRETS, *PLAIN, "PACHYDERM_IDPS", "CHARTS", "TIMEOUT"):
        assert f"`{name}`" in readme
        assert name in script
    for each in releases():
        assert f"| {each['version']} |" in readme


def test_the_script_is_free_of_what_shellcheck_knows(shellcheck: Path) -> None:
    done = subprocess.run([shellcheck, CLUSTER / "install.sh"], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == ""
