"""The stages as make runs them, and the genuine command line, against the services of one test module."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from determined.experimental import Determined
from determined.experimental.client import Experiment

from localcluster.determined import service as determined
from localcluster.pachyderm import service as pachyderm
from tests.fmnist.conftest import REPOSITORY, SOURCE, home_settings, running

TRAIN, TEST = "fmnist-train", "fmnist-test"
SMALL = {"batch_size": 50, "width": 8, "late_width": 16, "validation_images": 200, "learning_rate": 0.01}


@contextmanager
def services(home: Path) -> Iterator[dict[str, str]]:
    """A pachd and a master of one's own, no Kubernetes; what their clients have in the environment."""
    settings = home_settings(home / "cluster")
    settings.home.mkdir()
    private = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "BUILD_DIR": str(home / "build")}
    private |= {"KUBECONFIG": str(home / "no-cluster")}
    with running(pachyderm, settings, private) as pach, running(determined, settings, {**private, **pach}) as det:
        yield {**private, **pach, **det}


@dataclass(frozen=True)
class Stages:
    """Runs the programs of the stages as make does."""

    environment: dict[str, str]
    build: Path
    train_commit: str
    test_commit: str

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`python -m ARGUMENTS` in the checkout; stdout and stderr are kept together."""
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=REPOSITORY,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def submit(self, epochs: int, *more: str) -> subprocess.CompletedProcess[str]:
        """A small const experiment."""
        settings = [f"hyperparameters.{name}={value}" for name, value in {**SMALL, "epochs": epochs}.items()]
        options = [argument for setting in (*settings, *more) for argument in ("--set", setting)]
        return self.run("fmnist.model.submit", *options)

    def det(self, *arguments: str) -> str:
        """The genuine command line; its standard output."""
        command = [sys.executable, "-m", "determined.cli", *arguments]
        done = subprocess.run(command, cwd=SOURCE, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"det {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def create(self, *more: str, **hyperparameters: Any) -> Experiment:
        """A small const experiment, created as people type it."""
        settings = {**SMALL, **hyperparameters}
        options = [f"--config=hyperparameters.{name}={value}" for name, value in settings.items()]
        printed = self.det("experiment", "create", *options, *more, "const.yaml", ".")
        return Determined().get_experiment(int(printed.split()[-1]))

    def gate(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """The accuracy gate as GitLab runs it."""
        junit = f"--junitxml={self.build / 'report' / 'junit.xml'}"
        command = ("pytest", "-q", "-p", "no:cacheprovider", "fmnist/test/test_model_accuracy.py", junit)
        return self.run(*command, REPORT_DIR=str(self.build / "report"), **variables)

    def written(self, name: str) -> dict[str, Any]:
        """A file that a stage left in the build folder."""
        values: dict[str, Any] = json.loads((self.build / name).read_text())
        return values
