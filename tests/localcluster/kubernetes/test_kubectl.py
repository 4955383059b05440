"""What users type: every command is the genuine kubectl against the running API."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.contract.kubernetes.objects import seldon
from tests.localcluster.kubernetes.cluster import Cluster, manifest, until

NAMES = iter(range(1000))


@pytest.fixture
def name(cluster: Cluster) -> Any:
    """A name of the test's own, whose SeldonDeployment is deleted afterwards."""
    chosen = f"user-{next(NAMES)}"
    yield chosen
    cluster.run("delete", "sdep", chosen, "--ignore-not-found")


def test_apply_get_wait_and_delete_a_seldon_deployment(cluster: Cluster, name: str) -> None:
    assert cluster.apply(manifest(name, "fast:v1")).stdout.endswith(f"{name} created\n")
    cluster.available(name)
    cluster.run("wait", "--for=condition=Ready", f"sdep/{name}", "--timeout=20s")
    assert cluster.apply(manifest(name, "fast:v1")).stdout.endswith(f"{name} unchanged\n")
    assert cluster.run("get", "sdep", name, "--no-headers").stdout.split()[:2] == [name, "Available"]
    assert cluster.run("get", "sdep", name, "-o", "jsonpath={.status.address.url}").stdout == (
        f"http://{name}-default.default.svc.cluster.local:9000/api/v1.0/predictions"
    )
    assert "fast:v1" in cluster.run("get", "sdep", name, "-o", "yaml").stdout
    assert cluster.run("delete", "sdep", name).stdout.endswith(f'"{name}" deleted\n')
    assert cluster.run("get", "sdep", name, check=False).stderr == (
        f'Error from server (NotFound): seldondeployments.machinelearning.seldon.io "{name}" not found\n'
    )
    until(lambda: not cluster.pods(name), "the Pods follow their owner")
    assert cluster.run("wait", "--for=delete", f"sdep/{name}", "--timeout=5s").returncode == 0


def test_the_objects_of_a_deployment_carry_seldons_names_labels_and_owners(cluster: Cluster, name: str) -> None:
    cluster.apply(manifest(name, "fast:v1"))
    cluster.available(name)
    (pod,) = cluster.pods(name)
    deployment = cluster.json("deploy", f"{name}-default-0-clf")
    assert pod["metadata"]["ownerReferences"][0]["uid"] == deployment["metadata"]["uid"]
    assert deployment["metadata"]["ownerReferences"][0]["kind"] == "SeldonDeployment"
    labels = pod["metadata"]["labels"]
    assert labels["seldon-app"] == f"{name}-default"
    assert labels["version"] == "default"
    assert labels["seldon.io/model"] == "true"
    assert {s["metadata"]["name"] for s in cluster.json("svc")["items"]} >= {f"{name}-default", f"{name}-default-clf"}
    assert f'deployment "{name}-default-0-clf" successfully rolled out' in (
        cluster.run("rollout", "status", f"deploy/{name}-default-0-clf").stdout
    )
    wide = cluster.run("get", "pods", "-o", "wide").stdout
    assert "1/1" in wide
    assert "NODE" in wide
    assert name in cluster.run("get", "all").stdout


def test_describe_shows_conditions_and_events(cluster: Cluster, name: str) -> None:
    cluster.apply(manifest(name, "fast:v1"))
    cluster.available(name)
    text = cluster.run("describe", "sdep", name).stdout
    assert "CreateDeployment" in text
    assert "istioVirtualServicesReady" in text
    (pod,) = cluster.pods(name)
    text = cluster.run("describe", "pod", pod["metadata"]["name"]).stdout
    assert "Started container clf" in text
    assert f"Controlled By:  Deployment/{name}-default-0-clf" in text
    assert "MinimumReplicasAvailable" in cluster.run("describe", "deploy", f"{name}-default-0-clf").stdout
    assert "Started container clf" in cluster.run("get", "events").stdout


def test_logs_by_name_by_label_with_tail_and_following(cluster: Cluster, name: str) -> None:
    cluster.apply(manifest(name, "fast:v1"))
    cluster.available(name)
    (pod,) = cluster.pods(name)
    pod_name = pod["metadata"]["name"]
    assert cluster.run("logs", pod_name).stdout.startswith("serving v1\n")
    cluster.request(name, "marked")
    assert "request /marked" in cluster.run("logs", "-l", f"seldon-deployment-id={name}", "--tail", "50").stdout
    assert cluster.run("logs", f"deploy/{name}-default-0-clf", "--tail", "1").stdout.count("\n") == 1
    environment = {"KUBECONFIG": str(cluster.home / "kubernetes/kubeconfig"), "HOME": str(cluster.home)}
    following = subprocess.Popen(
        [cluster.kubectl, "logs", "-f", pod_name], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert following.stdout
    assert following.stdout.readline() == "serving v1\n"
    cluster.run("delete", "sdep", name)
    assert following.wait(timeout=30) == 0
    refused = cluster.run("logs", pod_name, "--since=1s", check=False)
    assert refused.returncode == 1


@pytest.mark.slow
def test_a_watch_sees_every_state(cluster: Cluster, name: str) -> None:
    there = f"{name}-before"
    cluster.apply(seldon(there))
    environment = {"KUBECONFIG": str(cluster.home / "kubernetes/kubeconfig"), "HOME": str(cluster.home)}
    command = [str(cluster.kubectl), "get", "sdep", "-w", "--no-headers", "--output-watch-events"]
    watching = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert watching.stdout
    events = (line.split() for line in watching.stdout)
    try:
        # It has listed then, and watches from there on.
        assert any(event[1] == there for event in events)
        cluster.apply(manifest(name, "fast:v1"))
        cluster.available(name)
        cluster.run("delete", "sdep", name, there)
        seen: list[str] = []
        for event in events:
            if event[1] == name:
                seen.append(f"{event[0]}:{event[2]}")
            if seen and seen[-1].startswith("DELETED"):
                break
    finally:
        watching.kill()
        watching.communicate()
    assert seen[0].startswith("ADDED")
    assert "MODIFIED:Creating" in seen
    assert "MODIFIED:Available" in seen


@pytest.mark.slow
def test_patch_annotate_label_and_conflicts(cluster: Cluster, name: str) -> None:
    cluster.apply(manifest(name, "fast:v1"))
    cluster.run("annotate", "sdep", name, "note=hello")
    cluster.run("label", "sdep", name, "model-version=7")
    patch = '[{"op": "add", "path": "/metadata/labels/stage", "value": "canary"}]'
    cluster.run("patch", "sdep", name, "--type", "json", "-p", patch)
    found = cluster.json("sdep", name)
    assert found["metadata"]["annotations"]["note"] == "hello"
    assert found["metadata"]["labels"] == {"model-version": "7", "stage": "canary"}
    assert found["metadata"]["generation"] == 1
    assert [each["metadata"]["name"] for each in cluster.json("sdep", "-l", "stage in (canary)")["items"]] == [name]
    assert cluster.json("sdep", "-l", "stage!=canary,model-version=7")["items"] == []
    cluster.run("patch", "sdep", name, "--type", "merge", "-p", '{"spec": {"replicas": 2}}')
    assert cluster.json("sdep", name)["metadata"]["generation"] == 2
    cluster.run("replace", "-f", "-", stdin=json.dumps(cluster.json("sdep", name) | {"spec": found["spec"]}))
    assert "replicas" not in cluster.json("sdep", name)["spec"]
    stale = '{"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 1}}'
    refused = cluster.run("patch", "sdep", name, "--type", "merge", "-p", stale, check=False)
    assert "the object has been modified" in refused.stderr
    refused = cluster.run("patch", "sdep", name, "-p", "{}", check=False)
    assert "application/strategic-merge-patch+json is not supported" in refused.stderr
    refused = cluster.apply(manifest(name, "fast:v1"), "--server-side", check=False)
    assert "server-side apply is not served by the local cluster" in refused.stderr


@pytest.mark.slow
def test_dry_run_and_diff_change_nothing(cluster: Cluster, name: str) -> None:
    assert "created (server dry run)" in cluster.apply(manifest(name, "fast:v1"), "--dry-run=server").stdout
    assert cluster.run("get", "sdep", name, check=False).returncode == 1
    cluster.apply(manifest(name, "fast:v1"))
    cluster.available(name)
    before = cluster.json("sdep", name)
    changed = json.dumps(manifest(name, "fast:v2"))
    difference = cluster.run("diff", "-f", "-", stdin=changed, check=False)
    assert difference.returncode == 1
    assert "+        - image: fast:v2" in difference.stdout.replace("          - image", "        - image")
    assert "configured (server dry run)" in cluster.run("apply", "--dry-run=server", "-f", "-", stdin=changed).stdout
    assert cluster.json("sdep", name) == before
    assert cluster.run("diff", "-f", "-", stdin=json.dumps(manifest(name, "fast:v1"))).returncode == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"bogus": 1},
            'SeldonDeployment in version "v1" cannot be handled as a SeldonDeployment: strict decoding error: '
            'unknown field "spec.predictors[0].bogus"',
        ),
        ({"replicas": "two"}, 'spec.predictors[0].replicas in body must be of type integer: "string"'),
        ({"graph": {"type": "MODEL"}}, "spec.predictors[0].graph.name: Required value"),
        ({"annotations": {}}, 'set seldon.io/no-engine: "true" in the annotations of the predictor'),
        ({"traffic": 50}, "Traffic must sum be 100 for a single predictor when set"),
        ({"shadow": True}, "Shadow can not exist as only predictor"),
    ],
)
def test_faulty_manifests_are_refused_with_the_servers_words(cluster: Cluster, change: Any, words: str) -> None:
    refused = cluster.apply(manifest("faulty", "fast:v1", **change), check=False)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert cluster.run("get", "sdep", "faulty", check=False).returncode == 1


def test_unknown_fields_warn_or_vanish_when_not_strict(cluster: Cluster, name: str) -> None:
    faulty = manifest(name, "fast:v1", bogus=1)
    assert 'Warning: unknown field "spec.predictors[0].bogus"' in cluster.apply(faulty, "--validate=warn").stderr
    assert "bogus" not in cluster.json("sdep", name)["spec"]["predictors"][0]


@pytest.mark.slow
def test_built_in_kinds_created_by_hand(cluster: Cluster) -> None:
    cluster.run("create", "namespace", "team")
    cluster.run("create", "secret", "generic", "key", "-n", "team", "--from-literal=password=s3cret")
    cluster.run("create", "configmap", "settings", "-n", "team", "--from-literal=level=debug")
    assert cluster.json("secret", "key", "-n", "team")["data"] == {"password": "czNjcmV0"}
    assert cluster.json("cm", "settings", "-n", "team")["data"] == {"level": "debug"}
    assert "already exists" in cluster.run("create", "namespace", "team", check=False).stderr
    changed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "team"}}
    cluster.apply(changed | {"data": {"level": "info", "extra": "1"}})
    cluster.apply(changed | {"data": {"level": "info"}})
    assert cluster.json("cm", "settings", "-n", "team")["data"] == {"level": "info"}
    cluster.run("delete", "namespace", "team")
    assert 'namespaces "team" not found' in cluster.run("get", "namespace", "team", check=False).stderr
    assert cluster.json("secret", "-A")["items"] == []
    refused = cluster.run("delete", "namespace", "default", check=False)
    assert "this namespace may not be deleted" in refused.stderr


def test_the_ingress_gateway_and_the_servers_description_of_itself(cluster: Cluster) -> None:
    gateway = cluster.json("svc", "istio-ingressgateway", "-n", "istio-system")
    assert gateway["status"]["loadBalancer"]["ingress"] == [{"ip": "127.0.0.1"}]
    assert gateway["spec"]["ports"][0]["port"] == cluster.settings.ingress_port
    assert "LoadBalancer" in cluster.run("get", "svc", "istio-ingressgateway", "-n", "istio-system").stdout
    resources = cluster.run("api-resources").stdout
    for name in ("seldondeployments", "sdep", "deployments", "pods", "events", "configmaps"):
        assert name in resources
    assert "Server Version: v1.32" in cluster.run("version").stdout
    assert "is running at" in cluster.run("cluster-info").stdout
    assert "graph\t<Object> -required-" in cluster.run("explain", "sdep.spec.predictors").stdout
    assert "postStart\t<LifecycleHandler>" in cluster.run("explain", "pod.spec.containers.lifecycle").stdout
    refused = cluster.run("get", "nothing", check=False).stderr
    assert 'the server doesn\'t have a resource type "nothing"' in refused


@pytest.mark.slow
def test_waiting_for_what_never_comes_times_out(cluster: Cluster, name: str) -> None:
    cluster.apply(manifest(name, "absent:v9"))
    waited = cluster.run("wait", "--for=condition=Ready", f"sdep/{name}", "--timeout=1s", check=False)
    assert waited.returncode == 1
    assert "timed out waiting for the condition" in waited.stderr


@pytest.mark.slow
def test_foreground_and_orphan_deletion(cluster: Cluster, name: str) -> None:
    cluster.apply(manifest(name, "fast:v1"))
    cluster.available(name)
    cluster.run("delete", "sdep", name, "--cascade=foreground")
    assert cluster.json("deploy", "-l", f"seldon-deployment-id={name}")["items"] == []
    cluster.apply(manifest(name, "fast:v1"))
    cluster.available(name)
    cluster.run("delete", "sdep", name, "--cascade=orphan")
    assert len(cluster.pods(name)) == 1
    cluster.run("delete", "deploy,svc,vs", "-l", f"seldon-deployment-id={name}")
    until(lambda: not cluster.pods(name), "the Pods follow the Deployment")
