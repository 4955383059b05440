"""A git project with a local cluster of its own, tiny registered models, and the pipeline run as `make ci` runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from deploy.fashion_classifier.model import Classifier
from tests.conftest import validated
from tests.deploy.tiny_model import write_checksums
from tests.e2e.conftest import REPOSITORY, Checkout

REGISTER = """
import sys
from determined.experimental import Determined
experiment = Determined().create_experiment(sys.argv[1] + "/const.yaml", sys.argv[1])
experiment.wait(interval=0.2)
print(experiment.list_checkpoints()[0].uuid)
"""
CONST = {
    "name": "tiny",
    "entrypoint": "python3 train.py",
    "searcher": {"name": "single", "metric": "accuracy", "smaller_is_better": False},
    "max_restarts": 0,
}
TRAIN = """
import shutil
from determined import core
with core.init(tensorboard_mode=core.TensorboardMode.MANUAL) as context:
    context.train.report_validation_metrics(steps_completed=1, metrics={"accuracy": 1.0})
    with context.checkpoint.store_path({"steps_completed": 1}) as (path, _):
        shutil.copytree("serving", path / "serving")
"""


@dataclass(frozen=True)
class Project:
    """The checkout, with the clients' variables, and the commit of its training data."""

    checkout: Checkout
    train_commit: str

    def train(self, serving: Path, folder: Path) -> str:
        """An experiment whose checkpoint holds this model; the checkpoint's uuid."""
        shutil.copytree(serving, folder / "serving")
        metadata = json.loads((folder / "serving" / "metadata.json").read_text())
        metadata["provenance"]["data_train"]["commit"] = self.train_commit
        (folder / "serving" / "metadata.json").write_text(json.dumps(metadata))
        write_checksums(folder / "serving")
        (folder / "const.yaml").write_text(yaml.safe_dump(CONST))
        (folder / "train.py").write_text(TRAIN)
        return self.checkout.run(".venv/bin/python", "-c", REGISTER, str(folder)).stdout.split()[-1]

    def register(self, checkpoint: str) -> None:
        """The checkpoint as the newest version."""
        self.checkout.run("det", "model", "register-version", "fashion-classifier", checkpoint)

    def pipeline(self, *jobs: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        """`make ci`: all jobs that a push to the default branch starts, or only these."""
        arguments = " ".join(jobs)
        return self.checkout.run(
            "make", "--no-print-directory", "ci", f"CI_ARGS={arguments}", timeout=timeout, check=False
        )

    def predictors(self) -> list[tuple[str, str]]:
        """Names and versions of what stands on the cluster."""
        found = self.checkout.run("kubectl", "get", "sdep", "fashion-classifier", "-o", "json").stdout
        return [(each["name"], each["labels"]["model-version"]) for each in json.loads(found)["spec"]["predictors"]]

    def report(self, name: str) -> Any:
        """A JSON file of the build folder."""
        return json.loads((self.checkout.directory / "build" / name).read_text())

    def secrets(self) -> list[str]:
        """Every password and token of the cluster's."""
        variables = self.checkout.environment
        contexts = json.loads(Path(variables["PACH_CONFIG"]).read_text())["v2"]["contexts"]
        users = yaml.safe_load(Path(variables["KUBECONFIG"]).read_text())["users"]
        return [
            variables["DET_PASS"],
            *(each["session_token"] for each in contexts.values()),
            *(value for each in users for name, value in each["user"].items() if name in ("token", "client-key-data")),
        ]


def copy(directory: Path) -> None:
    """The tracked files as a git project on its default branch, with this checkout's environments."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in names.decode().rstrip("\0").split("\0"):
        if (REPOSITORY / name).exists():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, directory / name)
    (directory / "build").mkdir()
    for name in (".venv", ".venv-serving", "build/ci", "build/gitlab-ci-local"):
        (directory / name).symlink_to((REPOSITORY / name).resolve())
    git(directory, "init", "-q", "-b", "main")
    commit(directory, "a project")


def commit(directory: Path, message: str) -> None:
    """Everything that is not ignored."""
    git(directory, "add", "-A")
    git(directory, "-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "-q", "-m", message)


def git(directory: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=directory, check=True, capture_output=True)


def upload(config: Path, classifier: Classifier) -> str:
    """Both splits, validated, about which the model is always right; the commit of the training data."""
    rng = np.random.default_rng(3)
    images = np.concatenate([taken_for(label, classifier, 40, rng) for label in range(10)])
    labels = classifier.probabilities(images).argmax(axis=1).astype(np.uint8)
    assert sorted(set(labels.tolist())) == list(range(10))
    client = Client.from_config(config)
    commits = []
    for repo in ("fmnist-train", "fmnist-test"):
        client.pfs.create_repo(repo=pfs.Repo(name=repo))
        with client.pfs.commit(branch=pfs.Branch.from_uri(f"{repo}@master")) as one:
            for name, content in validated(images, labels).items():
                one.put_file_from_bytes(path=f"/{name}", data=content)
        commits.append(str(one.id))
    return commits[0]


def taken_for(label: int, classifier: Classifier, count: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Images [count, 28, 28] that the model holds for this class: coarse ones, changed at random while it helps."""
    best = rng.integers(0, 256, (1, 7, 7), dtype=np.uint8)
    for _ in range(200):
        changed = np.where(rng.random((64, 7, 7)) < 0.15, rng.integers(0, 256, (64, 7, 7), dtype=np.uint8), best)
        tries = np.concatenate([best, changed])
        sure = classifier.probabilities(fine(tries))[:, label]
        best = tries[sure.argmax()][None]
        if sure.max() > 0.9:
            break
    noisy = fine(best).astype(np.int64) + rng.integers(-6, 7, (count, 28, 28))
    return noisy.clip(0, 255).astype(np.uint8)


def fine(coarse: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return coarse.repeat(4, axis=1).repeat(4, axis=2)
