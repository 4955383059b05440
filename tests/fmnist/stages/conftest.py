"""One master and one pachd for the modules of this folder, a trained model and its registered version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from tests.conftest import validated
from tests.fmnist.conftest import shapes
from tests.fmnist.stages.services import TEST, TRAIN, Stages, services


@pytest.fixture(scope="package")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """A master and a pachd of one's own, with both splits committed, in the environment of this process too."""
    home = tmp_path_factory.mktemp("home")
    with services(home) as clients, pytest.MonkeyPatch.context() as patch:
        for name, value in clients.items():
            patch.setenv(name, value)
        client = Client.from_config(clients["PACH_CONFIG"])
        commits = []
        for repo, count, seed in ((TRAIN, 2000, 0), (TEST, 500, 1)):
            images, labels = shapes(count, seed)
            if repo == TEST:
                labels[:50] = 9 - labels[:50]  # No model gets these right, so no accuracy is perfect.
            client.pfs.create_repo(repo=pfs.Repo(name=repo))
            with client.pfs.commit(branch=pfs.Branch.from_uri(f"{repo}@master")) as commit:
                for name, content in validated(images, labels).items():
                    commit.put_file_from_bytes(path=f"/{name}", data=content)
            commits.append(str(commit.id))
        yield Stages({**os.environ, **clients}, home / "build", *commits)


@pytest.fixture(scope="package")
def trained(stages: Stages) -> dict[str, Any]:
    """What build/train.json says after a training of two epochs."""
    done = stages.submit(2)
    assert done.returncode == 0, done.stdout
    for epoch in (1, 2):
        assert f"epoch {epoch}: validation accuracy" in done.stdout
    return stages.written("train.json")


@pytest.fixture(scope="package")
def registered(stages: Stages, trained: dict[str, Any]) -> dict[str, Any]:
    """What build/model.json says after the registration."""
    done = stages.run("fmnist.model.register")
    assert done.returncode == 0, done.stdout
    return stages.written("model.json")
