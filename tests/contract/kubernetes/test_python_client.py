"""The official Python client."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import kubernetes  # type: ignore[import-untyped]
import pytest

from tests.contract.kubernetes.objects import config_map, secret, seldon
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


def test_the_dynamic_client_finds_resources_by_itself(api: Any, namespace: Namespace, tmp_path: Path) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(api, cache_file=str(tmp_path / f"cache-{time.time_ns()}"))
    resource = dynamic.resources.get(api_version="machinelearning.seldon.io/v1", kind="SeldonDeployment")
    resource.create(body=seldon(), namespace=namespace.name)
    assert resource.get(name="m", namespace=namespace.name).spec.predictors[0].name == "default"
