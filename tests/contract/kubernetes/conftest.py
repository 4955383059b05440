"""The contract with the API server: a stand-in of the session's own, or the one of KUBE_CONTRACT_KUBECONFIG (a file).

A genuine server needs the CustomResourceDefinition of SeldonDeployments, and a kubeconfig with a token and the
authority's certificate in it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.kubernetes import tools
from tests.contract.kubernetes.server import Namespace, Server
from tests.localcluster.kubernetes.cluster import Cluster

KUBECONFIG = os.environ.get("KUBE_CONTRACT_KUBECONFIG", "")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server under test."""
    kubectl = tools.extract_kubectl(tmp_path_factory.getbasetemp().parent / "kubectl-under-test")
    home = tmp_path_factory.mktemp("home")
    if KUBECONFIG:
        yield Server(Path(KUBECONFIG), kubectl, home)
        return
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), kubectl)
    try:
        cluster.start("kubernetes")
        yield Server(cluster.home / "kubernetes" / "kubeconfig", kubectl, home)
    finally:
        cluster.stop()


@pytest.fixture
def namespace(server: Server) -> Iterator[Namespace]:
    """A namespace of the test's own."""
    yield from _namespace(server)


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[Namespace]:
    """One namespace for all tests of a module that change nothing, or only what is their own."""
    yield from _namespace(server)


def _namespace(server: Server) -> Iterator[Namespace]:
    name = f"contract-{uuid.uuid4().hex[:12]}"
    made = server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert made.status == 201, made.body
    yield Namespace(server, name)
    server.ask("DELETE", f"/api/v1/namespaces/{name}")
