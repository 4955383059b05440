"""What is told of kubectl's failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.release import kubectl as called
from deploy.release.errors import DeployError

NOWHERE = """
apiVersion: v1
kind: Config
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
current-context: nowhere
"""


def test_a_cluster_that_is_not_up_takes_a_line(kubectl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one of kubectl's log for each of its attempts."""
    (tmp_path / "config").write_text(NOWHERE)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(DeployError) as refusal:
        called.get("service", "istio-ingressgateway")
    assert str(refusal.value) == (
        "kubectl get service istio-ingressgateway: The connection to the server 127.0.0.1:9 was refused - "
        "did you specify the right host or port? The local cluster is started by make up"
    )


def test_what_is_only_logged_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "kubectl"
    program.write_text("#!/bin/sh\necho 'E1122 10:00:00 file.go:1] torn' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("KUBECTL", str(program))
    with pytest.raises(DeployError, match=r"kubectl get pods: E1122 10:00:00 .* torn"):
        called.run("get", "pods")
