"""The stages against running stand-ins, as `make` runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
from pachyderm_sdk.api import pfs

from deploy.release import files, image
from deploy.release.registry import Registered
from tests.conftest import validated
from tests.contract.pachyderm.pachd import LocalPachd
from tests.localcluster.kubernetes.cluster import Cluster

_WRAPPER = "app/FashionClassifier.py"
_IMAGE_FILES = image.image_files


class Stages:
    """A cluster, and the stages run as `make` runs them."""

    def __init__(self, cluster: Cluster, pachd: LocalPachd, build: Path) -> None:
        self.cluster, self.build = cluster, build
        self.environment = {
            **os.environ,
            "BUILD_DIR": str(build),
            "KUBECONFIG": str(cluster.home / "kubernetes" / "kubeconfig"),
            "KUBECTL": str(cluster.kubectl),
            "PACH_CONFIG": str(pachd.config),
            "NO_PROXY": "127.0.0.1",
            "HTTP_PROXY": "http://127.0.0.1:1",
        }

    def make_image(self, registered: Registered, version: int = 3, change: str = "") -> dict[str, Any]:
        """What `make image` does with the model as this version; `change` is appended to the wrapper."""

        def image_files(registered: Registered, revision: str | None) -> dict[str, bytes]:
            contents = _IMAGE_FILES(registered, revision)
            return contents | {_WRAPPER: contents[_WRAPPER] + change.encode()}

        with mock.patch.object(image, "image_files", image_files):
            numbered = replace(registered, version=version)
            record = image.build(numbered, self.cluster.images, revision=None, epoch=0)
        files.write_json(self.build / "image.json", record)
        return record

    def command(self, stage: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", f"deploy.release.{stage}", *arguments]

    def run(self, stage: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(stage, *arguments),
            cwd=files.REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=400,
        )

    @property
    def base(self) -> str:
        port = self.cluster.settings.ingress_port
        return f"http://127.0.0.1:{port}/seldon/default/fashion-classifier/api/v1.0"

    def tags(self) -> Any:
        message = json.dumps({"data": {"tensor": {"shape": [784], "values": [0] * 784}}}).encode()
        status, answer = self.cluster.request("fashion-classifier", "api/v1.0/predictions", message)
        assert status == 200, answer
        return answer["meta"]["tags"]

    def live(self) -> list[tuple[str, str]]:
        """Predictors and versions, as the labels of the SeldonDeployment say."""
        predictors = self.cluster.json("sdep", "fashion-classifier")["spec"]["predictors"]
        return [(each["name"], each["labels"]["model-version"]) for each in predictors]

    def history(self) -> list[dict[str, Any]]:
        """The entries of the ConfigMap, newest first."""
        data = self.cluster.json("configmap", "fashion-classifier-deployments")["data"]
        entries: list[dict[str, Any]] = json.loads(data["history.json"])
        return entries


def upload(pachd: LocalPachd, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> None:
    """Commit a validated test split."""
    client = pachd.client()
    repo = pfs.Repo(name="fmnist-test")
    client.pfs.create_repo(repo=repo)
    with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        for name, data in validated(images, labels).items():
            client.pfs.put_file_from_bytes(commit=commit, path=f"/{name}", data=data)
