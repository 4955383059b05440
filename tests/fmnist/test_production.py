"""What is in production, as kubectl shows it: one label, and a reason where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fmnist import production
from tests.fmnist.conftest import REPOSITORY, KubectlStub


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KubectlStub:
    stub = KubectlStub(tmp_path)
    monkeypatch.setenv("KUBECTL", str(stub.program))
    return stub


def deployment(
    labels: dict[str, str] | None,
    name: str = "fashion-classifier",
    namespace: str = "default",
    predictor: str = "default",
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"predictors": [{"name": predictor, **({"labels": labels} if labels is not None else {})}]},
    }


LABELS = {"model-version": "3", "checkpoint": "u-3", "app.kubernetes.io/version": "3"}


def test_the_label_of_the_main_predictor_is_what_counts(kubectl: KubectlStub) -> None:
    canary = deployment({"model-version": "9"}, predictor="canary")
    kubectl.lists([deployment({"model-version": "7"}, name="other"), canary, deployment(LABELS)])
    found = production.find()
    assert found.named == production.Named("fashion-classifier", "3", "u-3")
    assert found.predictor == "default/fashion-classifier/default"


def test_the_default_namespace_comes_first(kubectl: KubectlStub) -> None:
    kubectl.lists([deployment({"model-version": "7"}, namespace="a"), deployment(LABELS)])
    assert production.find().predictor == "default/fashion-classifier/default"
    kubectl.lists(
        [deployment({"model-version": "8"}, namespace="b"), deployment({"model-version": "7"}, namespace="a")]
    )
    assert production.find().predictor == "a/fashion-classifier/default"


def test_nothing_deployed_is_readable_and_said(kubectl: KubectlStub) -> None:
    kubectl.lists([deployment(LABELS, name="other")])
    found = production.find()
    assert (found.named, found.readable) == (None, True)
    assert "no SeldonDeployment fashion-classifier" in found.reason


def test_what_is_tried_out_in_staging_is_not_in_production(kubectl: KubectlStub) -> None:
    overlay = yaml.safe_load((REPOSITORY / "deploy/overlays/staging/kustomization.yaml").read_text())
    assert overlay["namespace"] == production.STAGING
    kubectl.lists([deployment(LABELS, namespace=production.STAGING)])
    assert "no SeldonDeployment fashion-classifier" in production.find().reason


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "has no label model-version"),
        ({}, "has no label model-version"),
        ({"model-version": "newest"}, "label model-version='newest'"),
    ],
)
def test_a_missing_label_is_said(kubectl: KubectlStub, labels: dict[str, str] | None, words: str) -> None:
    kubectl.lists([deployment(labels)])
    found = production.find()
    assert (found.named, found.readable) == (None, False)
    assert words in found.reason


def test_a_cluster_that_cannot_be_asked_is_said_in_kubectls_last_words(kubectl: KubectlStub) -> None:
    kubectl.fails("E1121 memcache.go: once more\nThe connection to the server 127.0.0.1:9 was refused")
    found = production.find()
    assert (found.named, found.readable) == (None, False)
    assert found.reason.startswith("kubectl get seldondeployments")
    assert found.reason.endswith(": The connection to the server 127.0.0.1:9 was refused")


def test_without_kubectl_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL", "/nowhere/kubectl")
    found = production.find()
    assert (found.named, found.readable) == (None, False)
    assert "/nowhere/kubectl" in found.reason


def test_where_only_one_namespace_may_be_listed_that_one_is(kubectl: KubectlStub) -> None:
    kubectl.lists([deployment(LABELS)], forbidden="--all-namespaces")
    listed = production.deployments()
    assert len(listed.deployments) == 1
    assert "forbidden" in (listed.problem or "")
    assert production.find().named == production.Named("fashion-classifier", "3", "u-3")
