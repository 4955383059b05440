"""Who may talk to the API, with what, and where the credentials and tools come from."""

from __future__ import annotations

import http.client
import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from localcluster.kubernetes import service, tls, tools
from localcluster.kubernetes.api.tables import duration
from localcluster.kubernetes.layout import Layout
from localcluster.settings import HOST
from tests.localcluster.kubernetes.cluster import Cluster


def ask(cluster: Cluster, path: str, token: str | None = None, method: str = "GET", body: str = "") -> tuple[int, str]:
    context = ssl.create_default_context(cafile=str(Layout(cluster.home).pki / "ca.crt"))
    connection = http.client.HTTPSConnection(HOST, cluster.settings.kubernetes_port, context=context, timeout=10)
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_only_the_health_and_version_paths_are_open(cluster: Cluster) -> None:
    for path in ("/readyz", "/livez", "/version"):
        assert ask(cluster, path)[0] == 200
    for path in ("/api", "/apis", "/api/v1/namespaces/default/secrets", "/openapi/v3", "/nothing"):
        for token in (None, "", "wrong"):
            status, text = ask(cluster, path, token)
            assert status == 401
            assert json.loads(text)["reason"] == "Unauthorized"


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "reason"),
    [
        ("GET", "/api/v1/namespaces/default/unknown", "", 404, "NotFound"),
        ("GET", "/apis/apps/v1beta1/deployments", "", 404, "NotFound"),
        ("POST", "/api/v1/namespaces/default/pods/x/exec", "", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/istio-system/services/istio-ingressgateway/proxy", "", 405, "MethodNotAllowed"),
        ("DELETE", "/api/v1/pods", "", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/namespaces/default/configmaps", "{", 400, "BadRequest"),
        ("POST", "/api/v1/namespaces/default/configmaps", "[]", 400, "BadRequest"),
        ("POST", "/api/v1/namespaces/default/configmaps", '{"kind": "Secret"}', 400, "BadRequest"),
        ("POST", "/api/v1/namespaces/default/configmaps", '{"metadata": 3}', 400, "BadRequest"),
        ("POST", "/api/v1/namespaces/default/configmaps", "{}", 422, "Invalid"),
        ("GET", "/api/v1/pods?labelSelector=a%20b", "", 400, "BadRequest"),
        ("GET", "/api/v1/pods?watch=1&timeoutSeconds=x", "", 400, "BadRequest"),
        ("PATCH", "/api/v1/namespaces/default", "{}", 415, "UnsupportedMediaType"),
    ],
)
def test_a_clients_mistake_is_answered_with_a_status(
    cluster: Cluster, method: str, path: str, body: str, code: int, reason: str
) -> None:
    token = Layout(cluster.home).token.read_text()
    status, text = ask(cluster, path, token, method, body)
    assert (status, json.loads(text)["reason"]) == (code, reason)


def test_secrets_are_files_of_their_owner_alone(cluster: Cluster) -> None:
    layout = Layout(cluster.home)
    for path in (layout.kubeconfig, layout.token, layout.pki / "server.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    token = layout.token.read_text()
    for process in cluster.processes.values():
        assert token not in Path(f"/proc/{process.pid}/cmdline").read_text()
    assert all(token not in path.read_text() for path in cluster.home.glob("*.log"))


def test_preparing_again_changes_nothing(cluster: Cluster) -> None:
    files = [path for path in Layout(cluster.home).root.rglob("*") if path.suffix in (".crt", ".key", ".json")]
    before = {path: path.read_bytes() for path in files}
    service.prepare(cluster.settings)
    assert {path: path.read_bytes() for path in files} == before
    assert service.client_environment(cluster.settings) == {"KUBECONFIG": str(Layout(cluster.home).kubeconfig)}


def test_a_certificate_near_its_end_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "LIFETIME", timedelta(days=20))
    tls.ensure_certificates(tmp_path)
    old = (tmp_path / "server.crt").read_bytes()
    monkeypatch.undo()
    tls.ensure_certificates(tmp_path)
    new = (tmp_path / "server.crt").read_bytes()
    assert new != old
    assert x509.load_pem_x509_certificate(new).not_valid_after_utc > datetime.now(UTC) + timedelta(days=300)
    tls.ensure_certificates(tmp_path)
    assert (tmp_path / "server.crt").read_bytes() == new


def test_kubectl_is_taken_from_the_path_only_if_it_fits(
    kubectl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tools.client_minor(kubectl) == 32
    old = tmp_path / "bin" / "kubectl"
    old.parent.mkdir()
    old.write_text('#!/bin/sh\necho \'{"clientVersion": {"minor": "27+"}}\'\n')
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:/usr/bin:/bin")
    assert tools.client_minor(old) == 27
    monkeypatch.setattr(tools, "extract_kubectl", lambda directory: directory / "extracted")
    assert tools.kubectl(tmp_path) == tmp_path / "extracted"
    monkeypatch.setenv("PATH", f"{kubectl.parent}:/usr/bin:/bin")
    assert tools.kubectl(tmp_path) == kubectl


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (123, "2m3s"),
        (600, "10m"),
        (3 * 3600 + 300, "3h5m"),
        (26 * 3600, "26h"),
        (9 * 86400, "9d"),
    ],
)
def test_ages_are_written_as_kubectl_writes_them(seconds: int, text: str) -> None:
    assert duration(seconds) == text
