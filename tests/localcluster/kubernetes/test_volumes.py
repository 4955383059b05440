"""Volumes, Secrets and a second container: what a Pod is given as directories, and how long that lives."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from localcluster.kubernetes.controller.containers import inside
from tests.localcluster.kubernetes.cluster import Cluster, manifest, until
from tests.localcluster.kubernetes.images import server, write_image

pytestmark = pytest.mark.slow

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "kept"},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
}
WRITER = """
import os, signal, sys, time
from pathlib import Path

def end(*_):
    time.sleep(1)
    Path(os.environ["KEPT"], "ended").write_text(os.environ["HOSTNAME"])
    sys.exit()

signal.signal(signal.SIGTERM, end)
for name in ("KEPT", "FLEETING"):
    with Path(os.environ[name], "runs").open("a") as stream:
        print(os.environ["HOSTNAME"], file=stream)
print("token", Path(os.environ["CONFIG"]).read_text(), flush=True)
while True:
    time.sleep(60)
"""


def pod_spec(image: str) -> dict[str, Any]:
    """A server, and beside it a container without a port that shares two volumes with it."""
    volumes = [
        {"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}},
        {"name": "fleeting", "emptyDir": {}},
        {"name": "config", "secret": {"secretName": "access"}},
        {"name": "extra", "configMap": {"name": "not-there", "optional": True}},
    ]
    mounts = [{"name": each["name"], "mountPath": f"/{each['name']}"} for each in volumes]
    env = [
        {"name": name, "value": value}
        for name, value in (("KEPT", "/kept"), ("FLEETING", "/fleeting/"), ("CONFIG", "/config/token"))
    ]
    containers = [
        {"name": "clf", "image": image, "env": env, "volumeMounts": mounts},
        {"name": "writer", "image": "writer:v1", "env": env, "volumeMounts": mounts},
    ]
    return {"containers": containers, "volumes": volumes}


def wanted(image: str) -> dict[str, Any]:
    whole = manifest("voluminous", image)
    whole["spec"]["predictors"][0]["componentSpecs"] = [{"spec": pod_spec(image)}]
    return whole


@pytest.fixture
def deployed(cluster: Cluster) -> Iterator[None]:
    """The claim, the Secret and the SeldonDeployment are there and available."""
    write_image(cluster.images, "writer:v1", {"app/writer.py": WRITER}, ["python", "writer.py"])
    cluster.apply(CLAIM)
    cluster.apply(secret("first"))
    with applied(cluster, wanted("fast:v1")):
        cluster.available("voluminous")
        yield
    cluster.run("delete", "pvc/kept", "secret/access")


def secret(token: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "access"}, "stringData": {"token": token}}


@contextmanager
def applied(cluster: Cluster, item: dict[str, Any]) -> Iterator[None]:
    cluster.apply(item)
    try:
        yield
    finally:
        cluster.run("delete", "sdep", item["metadata"]["name"])
        until(lambda: not cluster.pods(item["metadata"]["name"]), "the Pods are gone")


def environment(cluster: Cluster) -> dict[str, Path]:
    """The directories that the server was given, by variable."""
    status, answer = cluster.request("voluminous")
    assert status == 200, answer
    return {name: Path(answer["env"][name]) for name in ("KEPT", "FLEETING", "CONFIG")}


def test_volumes_are_shared_and_live_as_long_as_pod_or_claim(cluster: Cluster, deployed: None) -> None:
    first = environment(cluster)
    (pod,) = cluster.pods("voluminous")
    name = pod["metadata"]["name"]
    assert cluster.run("get", "pods").stdout.splitlines()[1].split()[1] == "2/2"
    until(lambda: "token first" in cluster.run("logs", name, "-c", "writer").stdout, "the second container ran")
    assert (first["KEPT"] / "runs").read_text() == (first["FLEETING"] / "runs").read_text() == f"{name}\n"
    assert first["CONFIG"].stat().st_mode & 0o777 == 0o600
    assert cluster.run("get", "pvc", "kept", "--no-headers").stdout.split()[:4] == [
        "kept",
        "Bound",
        "1Gi",
        "ReadWriteMany",
    ]

    cluster.apply(wanted("fast:v2"))
    cluster.available("voluminous")
    until(lambda: len(cluster.pods("voluminous")) == 1, "the old Pod is gone")
    second = environment(cluster)
    assert second["KEPT"] == first["KEPT"]
    assert (second["KEPT"] / "ended").read_text() == name, "a container without a port gets its time to end"
    until(lambda: len((second["KEPT"] / "runs").read_text().split()) == 2, "the claim kept what was there")
    assert second["FLEETING"] != first["FLEETING"]
    until(lambda: not first["FLEETING"].exists(), "the volume has gone with its Pod")


def test_only_nodes_of_the_graph_have_services(cluster: Cluster, deployed: None) -> None:
    services = cluster.json("services", "-l", "seldon-deployment-id=voluminous")["items"]
    assert sorted(each["metadata"]["name"] for each in services) == ["voluminous-default", "voluminous-default-clf"]


def test_a_changed_secret_reaches_the_pod_and_a_killed_second_container_comes_back(
    cluster: Cluster, deployed: None
) -> None:
    file = environment(cluster)["CONFIG"]
    cluster.apply(secret("second"))
    until(lambda: file.read_text() == "second", "the new token")
    (pod,) = cluster.pods("voluminous")
    writer = next(each for each in pod["status"]["containerStatuses"] if each["name"] == "writer")
    psutil.Process(int(writer["containerID"].removeprefix("process://"))).kill()
    name = pod["metadata"]["name"]
    until(lambda: "token second" in cluster.run("logs", name, "-c", "writer").stdout, "the second run")
    assert cluster.run("get", "pods").stdout.splitlines()[1].split()[3] == "1"


def test_what_a_volume_names_must_be_there(cluster: Cluster) -> None:
    server(cluster.images, "writer:v1", "any")
    for present, reason in (
        ([], 'persistentvolumeclaim "kept" not found'),
        ([CLAIM], 'MountVolume.SetUp failed for volume "config" : secret "access" not found'),
    ):
        for item in present:
            cluster.apply(item)
        with applied(cluster, wanted("fast:v1")):
            words = json.dumps(reason)[1:-1]
            until(lambda: words in json.dumps(cluster.pods("voluminous")), reason)  # noqa: B023
    cluster.run("delete", "pvc/kept")


REFUSED = [
    ({"hostPath": {"path": "/"}}, "volumes[0].hostPath: Forbidden: the local cluster has no hostPath volumes"),
    ({"cephfs": {"monitors": []}}, "volumes[0].cephfs: Forbidden: the local cluster has no cephfs volumes"),
    ({"surprise": {}}, 'unknown field "spec.predictors[0].componentSpecs[0].spec.volumes[0].surprise"'),
    ({"secret": {}}, "secret.secretName: Required value"),
]


@pytest.mark.parametrize(("volume", "reason"), REFUSED)
def test_other_kinds_of_volumes_are_refused(cluster: Cluster, volume: dict[str, Any], reason: str) -> None:
    whole = manifest("refused", "fast:v1")
    whole["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["volumes"] = [{"name": "v", **volume}]
    done = cluster.apply(whole, check=False)
    assert done.returncode != 0
    assert reason in done.stderr


def test_a_mount_without_its_volume_and_a_part_of_a_volume_are_refused(cluster: Cluster) -> None:
    mounts = [{"name": "absent", "mountPath": "/x"}, {"name": "absent", "mountPath": "/y", "subPath": "z"}]
    done = cluster.apply(manifest("refused", "fast:v1", container={"volumeMounts": mounts}), check=False)
    assert 'containers[0].volumeMounts[0].name: Not found: "absent"' in done.stderr
    assert "volumeMounts[1].subPath: Forbidden" in done.stderr


def test_a_claims_spec_stays(cluster: Cluster) -> None:
    cluster.apply(CLAIM)
    try:
        changed = CLAIM | {"spec": {**CLAIM["spec"], "accessModes": ["ReadWriteOnce"]}}  # type: ignore[dict-item]
        assert "spec is immutable after creation" in cluster.apply(changed, check=False).stderr
    finally:
        cluster.run("delete", "pvc/kept")


def test_the_longest_mount_counts_and_similar_names_do_not(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    mounts = {"/a": Path("/v/a"), "/a/b": Path("/v/b")}
    assert inside("/a/b/c", tmp_path, mounts) == "/v/b/c"
    assert inside("/a/", tmp_path, mounts) == "/v/a"
    assert inside("/ab", tmp_path, mounts) == "/ab"
    assert inside("/app/x", tmp_path, mounts) == os.fspath(tmp_path / "app" / "x")
