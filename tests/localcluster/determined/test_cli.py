"""What a user types: the genuine det CLI from login to download."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path

import pytest
from determined.common import api
from determined.common.api import bindings

from .conftest import Cluster


def test_login_whoami_and_logout(cluster: Cluster, tmp_path: Path) -> None:
    own = {"HOME": str(tmp_path)}
    assert "determined" in cluster.det("user", "whoami", environment=own)
    assert json.loads((tmp_path / ".config" / "determined" / "auth.json").read_text())["masters"]
    cluster.det("user", "logout", environment=own)
    wrong = cluster.det("user", "whoami", code=1, environment={**own, "DET_PASS": "wrong"})
    assert "invalid credentials" in wrong


def test_create_follows_the_logs_to_the_end(cluster: Cluster) -> None:
    out = cluster.det("experiment", "create", "-f", "const.yaml", ".")
    assert "Created experiment" in out
    assert out.index("run 1 starts at step 0") < out.index("finished step 2") < out.index("log stream ended")


@pytest.mark.slow
def test_experiment_commands_show_what_ran(cluster: Cluster, finished: int, tmp_path: Path) -> None:
    number = str(finished)
    assert "finished" in cluster.det("experiment", "list")
    described = cluster.det("experiment", "describe", "--metrics", number)
    assert "COMPLETED" in described
    assert "Validation Metric: accuracy" in described
    cluster.det("experiment", "wait", number)
    assert "finished step 2" in cluster.det("experiment", "logs", number)
    assert "COMPLETED" in cluster.det("experiment", "list-trials", number)
    listed = list(csv.DictReader(io.StringIO(cluster.det("experiment", "list-checkpoints", "--csv", number))))
    assert [row["# of Batches"] for row in listed] == ["1", "2"]
    cluster.det("experiment", "download-model-def", number, "--output-dir", str(tmp_path))
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as archive:
        assert {"train.py", "const.yaml"} <= set(archive.getnames())


@pytest.mark.slow
def test_labels_and_archive(cluster: Cluster, finished: int) -> None:
    number = str(finished)
    cluster.det("experiment", "label", "add", number, "gold")
    cluster.det("experiment", "set", "description", number, "a small one")
    shown = cluster.det("experiment", "describe", number)
    assert "gold" in shown
    assert "a small one" in shown
    cluster.det("experiment", "archive", number)
    assert "finished" not in cluster.det("experiment", "list")
    cluster.det("experiment", "unarchive", number)
    assert "finished" in cluster.det("experiment", "list")


@pytest.mark.slow
def test_trial_describe_with_metrics(cluster: Cluster, session: api.Session, finished: int) -> None:
    trial = str(cluster.trial(session, finished).id)
    shown = json.loads(cluster.det("trial", "describe", "--metrics", "--json", trial))
    assert shown["trial"]["summaryMetrics"]["validation_metrics"]["accuracy"]["max"] == 0.2
    kinds = [next(kind for kind in ("training", "validation", "checkpoint") if w.get(kind)) for w in shown["workloads"]]
    assert kinds == ["training", "validation", "checkpoint"] * 2
    assert "accuracy" in cluster.det("trial", "describe", "--metrics", trial)
    tail = cluster.det("trial", "logs", "--tail", "1", trial)
    assert "finished step 2" in tail
    assert "finished step 1" not in tail


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["direct", "master"])
def test_checkpoint_describe_and_download(
    cluster: Cluster, session: api.Session, finished: int, tmp_path: Path, mode: str
) -> None:
    found = bindings.get_GetExperimentCheckpoints(
        session, id=finished, sortByAttr=bindings.checkpointv1SortBy.SEARCHER_METRIC
    ).checkpoints
    best = found[0]
    assert best.training.searcherMetric == 0.2
    assert best.uuid in cluster.det("checkpoint", "describe", best.uuid)
    cluster.det("checkpoint", "download", "--mode", mode, "-o", str(tmp_path / "here"), best.uuid)
    assert (tmp_path / "here" / "step").read_text() == "2"
    assert (tmp_path / "here" / "nested" / "weights.bin").read_bytes() == bytes(range(256)) * 64
    assert json.loads((tmp_path / "here" / "metadata.json").read_text())["note"] == "tiny"


@pytest.mark.slow
def test_registry_commands(cluster: Cluster, session: api.Session, finished: int) -> None:
    uuid = bindings.get_GetExperimentCheckpoints(session, id=finished).checkpoints[0].uuid
    cluster.det("model", "create", "fashion-classifier")
    assert "already exists" in cluster.det("model", "create", "Fashion-Classifier", code=1)
    cluster.det("model", "register-version", "fashion-classifier", uuid)
    assert "fashion-classifier" in cluster.det("model", "list")
    assert "fashion-classifier" in cluster.det("model", "describe", "fashion-classifier")
    assert uuid in cluster.det("model", "list-versions", "fashion-classifier")
    assert uuid in cluster.det("model", "describe", "--version", "1", "fashion-classifier")
    assert "registry" in cluster.det("checkpoint", "delete", "--yes", uuid, code=1)


def test_an_unserved_call_is_named(cluster: Cluster) -> None:
    assert "GET /api/v1/agents is not served" in cluster.det("agent", "list", code=1)


def test_a_wrong_configuration_is_refused_by_name(cluster: Cluster) -> None:
    out = cluster.det(
        "experiment", "create", "const.yaml", ".", "--config", "searcher.max_trails=3", "--config", "nonsense=1", code=1
    )
    assert "max_trails" in out
    assert "nonsense" in out
