"""The official Python client."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import kubernetes  # type: ignore[import-untyped]
import pytest

from tests.contract.kubernetes.objects import config_map, deployment, secret, seldon, service
from tests.contract.kubernetes.objects import event as event_of
from tests.contract.kubernetes.server import Namespace, Server

SELDON = ("machinelearning.seldon.io", "v1")


@pytest.fixture(scope="module")
def api(server: Server) -> Any:
    """A client that is configured as a user's is."""
    return kubernetes.config.new_client_from_config(config_file=str(server.kubeconfig))


def test_objects_are_made_read_changed_and_deleted(api: Any, namespace: Namespace) -> None:
    core = kubernetes.client.CoreV1Api(api)
    core.create_namespaced_config_map(namespace.name, config_map())
    core.create_namespaced_secret(namespace.name, secret(stringData={"a": "b"}))
    assert core.read_namespaced_secret("s", namespace.name).data == {"a": "Yg=="}
    changed = core.patch_namespaced_config_map("c", namespace.name, {"data": {"b": "2"}})
    assert changed.data == {"a": "1", "b": "2"}
    listed = core.list_namespaced_config_map(namespace.name, field_selector="metadata.name=c")
    assert [item.metadata.name for item in listed.items] == ["c"]
    deleted = core.delete_namespaced_config_map("c", namespace.name)
    assert deleted.status == "Success"
    with pytest.raises(kubernetes.client.ApiException) as caught:
        core.read_namespaced_config_map("c", namespace.name)
    assert (caught.value.status, json.loads(caught.value.body)["reason"]) == (404, "NotFound")


def test_pages_are_followed(api: Any, namespace: Namespace) -> None:
    core = kubernetes.client.CoreV1Api(api)
    for name in "abc":
        core.create_namespaced_config_map(namespace.name, config_map(name, labels={"mine": "1"}))
    found, token = [], None
    while token != "":
        page = core.list_namespaced_config_map(namespace.name, label_selector="mine", limit=2, _continue=token)
        found += [item.metadata.name for item in page.items]
        token = page.metadata._continue or ""
    assert found == ["a", "b", "c"]


def test_custom_objects(api: Any, namespace: Namespace) -> None:
    custom = kubernetes.client.CustomObjectsApi(api)
    made = custom.create_namespaced_custom_object(*SELDON, namespace.name, "seldondeployments", seldon())
    assert made["metadata"]["generation"] == 1
    stale = seldon() | {"metadata": {"name": "m", "resourceVersion": "1"}}
    with pytest.raises(kubernetes.client.ApiException) as caught:
        custom.replace_namespaced_custom_object(*SELDON, namespace.name, "seldondeployments", "m", stale)
    assert (caught.value.status, json.loads(caught.value.body)["reason"]) == (409, "Conflict")
    with pytest.raises(kubernetes.client.ApiException) as caught:
        custom.create_namespaced_custom_object(
            *SELDON, namespace.name, "seldondeployments", seldon("n", replicas="two")
        )
    assert "must be of type integer" in json.loads(caught.value.body)["message"]


def test_a_watch_begins_with_what_is_there(api: Any, namespace: Namespace) -> None:
    core = kubernetes.client.CoreV1Api(api)
    core.create_namespaced_config_map(namespace.name, config_map("w", labels={"mine": "1"}))
    watch = kubernetes.watch.Watch()
    seen = []
    for event in watch.stream(
        core.list_namespaced_config_map, namespace.name, label_selector="mine", timeout_seconds=20
    ):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "ADDED":
            core.delete_namespaced_config_map("w", namespace.name)
        else:
            watch.stop()
    assert seen == [("ADDED", "w"), ("DELETED", "w")]


def test_namespaces_are_read_as_types(api: Any, namespace: Namespace) -> None:
    core = kubernetes.client.CoreV1Api(api)
    found = core.read_namespace(namespace.name)
    assert (found.kind, found.status.phase, found.spec.finalizers) == ("Namespace", "Active", ["kubernetes"])
    assert found.metadata.creation_timestamp.tzinfo
    assert namespace.name in [each.metadata.name for each in core.list_namespace().items]


def test_deployments_are_read_as_types(api: Any, namespace: Namespace) -> None:
    apps = kubernetes.client.AppsV1Api(api)
    made = apps.create_namespaced_deployment(namespace.name, deployment())
    assert (made.metadata.generation, made.spec.replicas, made.spec.strategy.rolling_update.max_surge) == (1, 0, "25%")
    (listed,) = apps.list_namespaced_deployment(namespace.name).items
    assert listed.spec.template.spec.containers[0].image == "registry/image:v1"
    apps.patch_namespaced_deployment("d", namespace.name, {"spec": {"revisionHistoryLimit": 3}})
    found = apps.read_namespaced_deployment("d", namespace.name)
    assert (found.spec.revision_history_limit, found.spec.selector.match_labels) == (3, {"app": "d"})
    assert apps.read_namespaced_deployment_scale("d", namespace.name).status.replicas == 0


def test_services_are_read_as_types(api: Any, namespace: Namespace) -> None:
    core = kubernetes.client.CoreV1Api(api)
    core.create_namespaced_service(namespace.name, service(clusterIP="None"))
    found = core.read_namespaced_service("v", namespace.name)
    (port,) = found.spec.ports
    assert (found.spec.type, port.port, port.target_port, port.protocol) == ("ClusterIP", 80, 80, "TCP")
    assert [each.metadata.name for each in core.list_namespaced_service(namespace.name).items] == ["v"]


def test_events_are_read_as_types(api: Any, namespace: Namespace) -> None:
    core = kubernetes.client.CoreV1Api(api)
    involved = {"kind": "ConfigMap", "name": "c", "namespace": namespace.name}
    told = event_of(involvedObject=involved, reason="Tested", message="it was tested", type="Normal", count=2)
    core.create_namespaced_event(namespace.name, told)
    (found,) = core.list_namespaced_event(namespace.name, field_selector="involvedObject.name=c").items
    assert (found.reason, found.message, found.count, found.involved_object.kind) == (
        "Tested",
        "it was tested",
        2,
        "ConfigMap",
    )


def test_pods_are_read_as_types(api: Any, namespace: Namespace) -> None:
    core = kubernetes.client.CoreV1Api(api)
    spec = deployment()["spec"]["template"]["spec"]
    core.create_namespaced_pod(namespace.name, {"metadata": {"name": "p", "labels": {"mine": "1"}}, "spec": spec})
    found = core.read_namespaced_pod("p", namespace.name)
    assert (found.status.phase, found.spec.restart_policy, found.spec.containers[0].name) == ("Pending", "Always", "m")
    assert [each.metadata.name for each in core.list_pod_for_all_namespaces(label_selector="mine=1").items] == ["p"]
    core.delete_namespaced_pod("p", namespace.name, grace_period_seconds=0)


def test_the_dynamic_client_finds_resources_by_itself(api: Any, namespace: Namespace, tmp_path: Path) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(api, cache_file=str(tmp_path / f"cache-{time.time_ns()}"))
    resource = dynamic.resources.get(api_version="machinelearning.seldon.io/v1", kind="SeldonDeployment")
    resource.create(body=seldon(), namespace=namespace.name)
    assert resource.get(name="m", namespace=namespace.name).spec.predictors[0].name == "default"
