"""Deleting objects: finalizers, options, preconditions, namespaces that end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubernetes.objects import config_map, deployment, service
from tests.contract.kubernetes.server import Namespace, failure

OTHER_UID = "00000000-0000-4000-8000-000000000000"


def test_a_finalizer_keeps_an_object_until_it_is_taken_away(namespace: Namespace) -> None:
    namespace.post("configmaps", config_map(finalizers=["example.com/f"]))
    path = namespace.path("configmaps", "/c")
    ending = namespace.server.ask("DELETE", path).body["metadata"]
    assert ending["deletionTimestamp"]
    assert ending["deletionGracePeriodSeconds"] == 0
    more = namespace.patch("configmaps", "c", {"metadata": {"finalizers": ["example.com/f", "example.com/g"]}})
    assert more.body["message"] == (
        'ConfigMap "c" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is '
        'being deleted, found new finalizers []string{"example.com/g"}'
    )
    assert namespace.patch("configmaps", "c", {"data": {"k": "v"}}).status == 200
    assert namespace.patch("configmaps", "c", {"metadata": {"finalizers": None}}).status == 200
    assert namespace.get("configmaps", "/c").status == 404


def test_a_deletion_answers_with_a_status_or_the_object(namespace: Namespace) -> None:
    uid = namespace.post("configmaps", config_map()).body["metadata"]["uid"]
    answer = namespace.server.ask("DELETE", namespace.path("configmaps", "/c"))
    details = {"name": "c", "kind": "configmaps", "uid": uid}
    success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    assert (answer.status, answer.body) == (200, success)
    namespace.post("services", service())
    assert namespace.server.ask("DELETE", namespace.path("services", "/v")).body["kind"] == "Service"


def test_all_that_a_selector_leaves_are_deleted_at_once(namespace: Namespace) -> None:
    for name in "ab":
        namespace.post("configmaps", config_map(name, labels={"mine": "1"}))
    namespace.post("configmaps", config_map("other"))
    path = namespace.path("configmaps", "?labelSelector=mine")
    gone = namespace.server.ask("DELETE", path)
    assert (gone.status, gone.body["kind"]) == (200, "ConfigMapList")
    assert [item["metadata"]["name"] for item in gone.body["items"]] == ["a", "b"]
    assert namespace.get("configmaps", "/a").status == 404
    assert namespace.get("configmaps", "/other").status == 200
    assert namespace.server.ask("DELETE", "/api/v1/configmaps").status == 405


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (
            {"propagationPolicy": "Bogus"},
            422,
            'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Bogus": supported values: '
            '"Foreground", "Background", "Orphan", "nil"',
        ),
        (
            {"propagationPolicy": "Orphan", "orphanDependents": True},
            422,
            'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Invalid value: "Orphan": orphanDependents and '
            "deletionPropagation cannot be both set",
        ),
        ("{", 500, "couldn't get version/kind; json parse error: unexpected end of JSON input"),
    ],
)
def test_deletions_that_make_no_sense(shared: Namespace, options: Any, code: int, words: str) -> None:
    shared.post("deployments.apps", deployment("kept"))
    answer = shared.server.ask("DELETE", shared.path("deployments.apps", "/kept"), options)
    assert (answer.status, answer.body["message"]) == (code, words)
    assert shared.get("deployments.apps", "/kept").status == 200


def test_a_deletion_may_say_which_object_it_means(namespace: Namespace) -> None:
    namespace.post("deployments.apps", deployment())
    path = namespace.path("deployments.apps", "/d")
    refused = namespace.server.ask("DELETE", path, {"preconditions": {"uid": OTHER_UID}})
    assert refused.status == 409
    assert f"the UID in the precondition ({OTHER_UID}) does not match the UID in record (" in refused.body["message"]
    assert refused.body["details"] == {"name": "d", "group": "apps", "kind": "Deployment"}


def test_a_namespace_that_ends_takes_nothing_more(namespace: Namespace) -> None:
    namespace.post("configmaps", config_map(finalizers=["example.com/f"]))
    name = namespace.name
    assert namespace.server.ask("DELETE", f"/api/v1/namespaces/{name}").body["status"]["phase"] == "Terminating"
    late = namespace.post("configmaps", config_map("late"))
    words = f"unable to create new content in namespace {name} because it is being terminated"
    assert (late.status, late.body["message"]) == (403, f'configmaps "late" is forbidden: {words}')
    assert late.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    namespace.patch("configmaps", "c", {"metadata": {"finalizers": None}})
    kept = namespace.server.ask("DELETE", "/api/v1/namespaces/default")
    assert kept.body == failure(
        'namespaces "default" is forbidden: this namespace may not be deleted',
        "Forbidden",
        403,
        name="default",
        kind="namespaces",
    )
