"""The genuine Envoy before a running wrapper, with the routes that Istio would make of its SeldonDeployment."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
import yaml

from benchmarks.serving.process import Running, _free_ports
from benchmarks.serving.servers import MANIFEST
from localcluster.kubernetes import service
from localcluster.kubernetes.controller import operator
from localcluster.kubernetes.envoy import files, translate
from localcluster.kubernetes.layout import Layout
from localcluster.settings import HOST, Settings

START_SECONDS = 30


@contextmanager
def ingress(running: Running, home: Path) -> Iterator[int]:
    """Envoy's port, while it runs."""
    port, other = _free_ports(2)
    settings = Settings.from_environment(
        {
            "LOCALCLUSTER_HOME": str(home / "ingress"),
            "LOCALCLUSTER_INGRESS_PORT": str(port),
            "LOCALCLUSTER_KUBERNETES_PORT": str(other),
        }
    )
    deployment = yaml.safe_load(MANIFEST.read_text())
    # What the API server would fill in.
    deployment["metadata"] |= {"uid": "", "creationTimestamp": ""}
    service.prepare(settings)
    directory = Layout(settings.home).envoy
    virtual_service = operator.derive(deployment).virtual_service
    virtual_service["metadata"]["creationTimestamp"] = ""
    destinations = {each.cluster: each for each in translate.destinations(virtual_service)}
    for name, destination in destinations.items():
        ports = [running.ports.grpc if destination.http2 else running.ports.http]
        files.write(directory, translate.endpoints_file(name), translate.endpoints(name, ports))
    clusters = [translate.cluster(destination, directory) for destination in destinations.values()]
    files.write(directory, translate.CLUSTERS_FILE, *clusters)
    files.write(directory, translate.ROUTES_FILE, translate.routes([virtual_service]))
    with (home / "envoy.log").open("wb") as log:
        process = subprocess.Popen(service.envoy_command(settings), stdout=log, stderr=log)
    try:
        _wait(f"http://{HOST}:{port}{prefix()}/health/status", home / "envoy.log")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def prefix() -> str:
    """The path below which the ingress serves the deployment."""
    metadata = yaml.safe_load(MANIFEST.read_text())["metadata"]
    return f"/seldon/{metadata['namespace']}/{metadata['name']}"


def _wait(url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"Envoy does not answer at {url}: {log.read_text()[-3000:]}")
        time.sleep(0.05)
