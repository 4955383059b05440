"""Creating, and changing objects: metadata, conflicts, patches, immutability."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubernetes.objects import config_map, deployment, secret, seldon, service
from tests.contract.kubernetes.server import JSON_PATCH, STRATEGIC, Namespace, failure

OTHER_UID = "00000000-0000-4000-8000-000000000000"
SELDON = "seldondeployments.machinelearning.seldon.io"
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def test_the_server_owns_part_of_the_metadata(namespace: Namespace) -> None:
    made = namespace.post("configmaps", config_map(uid="mine")).body["metadata"]
    assert made["uid"] != "mine"
    assert "generation" not in made
    assert made["resourceVersion"].isdecimal()
    assert made["creationTimestamp"].endswith("Z")
    changed = namespace.patch("configmaps", "c", {"data": {"a": "2"}}).body["metadata"]
    assert (changed["uid"], changed["creationTimestamp"]) == (made["uid"], made["creationTimestamp"])
    assert int(changed["resourceVersion"]) > int(made["resourceVersion"])
    again = namespace.patch("configmaps", "c", {"data": {"a": "2"}}).body["metadata"]
    assert again["resourceVersion"] == changed["resourceVersion"]
    named = namespace.post("configmaps", {"metadata": {"generateName": "gen-"}}).body["metadata"]["name"]
    assert named.startswith("gen-")
    assert len(named) == len("gen-") + 5


def test_generations_count_changes_of_the_spec_and_of_a_deployments_annotations(namespace: Namespace) -> None:
    def generation(resource: str, name: str, change: Any) -> int:
        number: int = namespace.patch(resource, name, change).body["metadata"]["generation"]
        return number

    namespace.post("deployments.apps", deployment())
    assert generation("deployments.apps", "d", {"metadata": {"labels": {"x": "y"}}}) == 1
    assert generation("deployments.apps", "d", {"metadata": {"annotations": {"x": "y"}}}) == 2
    assert generation("deployments.apps", "d", {"spec": {"paused": True}}) == 3
    assert generation("deployments.apps", "d", {"status": {"replicas": 9}}) == 3
    namespace.post(SELDON, seldon())
    assert generation(SELDON, "m", {"metadata": {"annotations": {"x": "y"}}}) == 1
    assert generation(SELDON, "m", {"spec": {"name": "other"}}) == 2


def test_the_status_is_written_through_its_subresource_only(namespace: Namespace) -> None:
    made = namespace.post(SELDON, seldon() | {"status": {"description": "mine"}}).body
    assert made.get("status", {}).get("description", "") != "mine"
    path = namespace.path(SELDON, "/m/status")
    change = {"status": {"address": {"url": "http://x"}}, "spec": {"name": "ignored"}}
    written = namespace.server.ask("PATCH", path, change, "application/merge-patch+json").body
    assert "name" not in written["spec"]
    assert namespace.server.ask("GET", path).body["kind"] == "SeldonDeployment"


def test_defaults_are_written_into_built_in_kinds(namespace: Namespace) -> None:
    spec = namespace.post("deployments.apps", deployment()).body["spec"]
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    pod = spec["template"]["spec"]
    assert (pod["restartPolicy"], pod["dnsPolicy"], pod["schedulerName"]) == (
        "Always",
        "ClusterFirst",
        "default-scheduler",
    )
    assert pod["containers"] == [
        {
            "name": "m",
            "image": "registry/image:v1",
            "imagePullPolicy": "IfNotPresent",
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }
    ]
    made = namespace.post("services", service()).body
    assert made["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert (made["spec"]["type"], made["spec"]["sessionAffinity"]) == ("ClusterIP", "None")
    assert made["status"] == {"loadBalancer": {}}


def test_secrets_keep_bytes_and_take_texts(namespace: Namespace) -> None:
    made = namespace.post("secrets", secret(stringData={"a": "b"}, data={"c": "ZA=="})).body
    assert made["data"] == {"a": "Yg==", "c": "ZA=="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"
    changed = namespace.patch("secrets", "s", {"stringData": {"x": "y"}, "data": {"c": None}}).body
    assert changed["data"] == {"a": "Yg==", "x": "eQ=="}
    binary = namespace.post("configmaps", config_map("b") | {"binaryData": {"k": "AQI="}}).body
    assert binary["binaryData"] == {"k": "AQI="}


def test_what_is_there_or_missing_is_named(shared: Namespace) -> None:
    shared.post("configmaps", config_map("there"))
    again = shared.post("configmaps", config_map("there"))
    words = 'configmaps "there" already exists'
    assert (again.status, again.body) == (409, failure(words, "AlreadyExists", 409, name="there", kind="configmaps"))
    group = {"group": "machinelearning.seldon.io", "kind": "seldondeployments", "name": "no"}
    missing = shared.get(SELDON, "/no")
    assert (missing.status, missing.body) == (404, failure(f'{SELDON} "no" not found', "NotFound", 404, **group))
    for method, body in (("GET", None), ("DELETE", None), ("PUT", config_map("no")), ("PATCH", {})):
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = shared.server.ask(method, shared.path("configmaps", "/no"), body, kind)
        assert answer.body == failure('configmaps "no" not found', "NotFound", 404, name="no", kind="configmaps")
    absent = shared.server.ask("POST", "/api/v1/namespaces/absent/configmaps", config_map())
    assert absent.body == failure('namespaces "absent" not found', "NotFound", 404, name="absent", kind="namespaces")
    assert shared.server.ask("GET", "/api/v1/namespaces/absent/configmaps").body["items"] == []


def test_a_write_based_on_another_version_is_a_conflict(namespace: Namespace) -> None:
    namespace.post("configmaps", config_map())
    stale = config_map(resourceVersion="1")
    for answer in (
        namespace.server.ask("PUT", namespace.path("configmaps", "/c"), stale),
        namespace.patch("configmaps", "c", {"metadata": {"resourceVersion": "1"}, "data": {"z": "1"}}),
    ):
        words = f'Operation cannot be fulfilled on configmaps "c": {MODIFIED}'
        assert (answer.status, answer.body) == (409, failure(words, "Conflict", 409, name="c", kind="configmaps"))
    other = namespace.server.ask("PUT", namespace.path("configmaps", "/c"), config_map(uid=OTHER_UID))
    assert other.status == 409
    assert f"Precondition failed: UID in precondition: {OTHER_UID}, UID in object meta: " in other.body["message"]
    namespace.post(SELDON, seldon())
    blind = namespace.server.ask("PUT", namespace.path(SELDON, "/m"), seldon())
    assert blind.status == 422
    assert "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update" in blind.body["message"]


def test_versions_that_no_client_would_send(namespace: Namespace) -> None:
    made = namespace.post("configmaps", config_map(resourceVersion="1"))
    assert (made.status, made.body["message"]) == (500, "resourceVersion should not be set on objects to be created")
    namespace.post("configmaps", config_map())
    bad = namespace.server.ask("PUT", namespace.path("configmaps", "/c"), config_map(resourceVersion="abc"))
    assert (bad.status, bad.body["message"]) == (500, 'strconv.ParseUint: parsing "abc": invalid syntax')


@pytest.mark.parametrize(
    ("kind", "change", "code", "words"),
    [
        ("merge", "{", 400, "error decoding patch: unexpected end of JSON input"),
        (
            "merge",
            [],
            400,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        ("merge", "null", 400, "Invalid JSON Patch"),
        (
            "merge",
            {"metadata": {"name": "other"}},
            400,
            "the name of the object (other) does not match the name on the URL (p)",
        ),
        (
            "merge",
            {"metadata": {"namespace": "other"}},
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            "merge",
            {"metadata": None},
            400,
            "the name of the object (p based on URL) was undeterminable: name must be provided",
        ),
        (
            "json",
            {"op": "add"},
            400,
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (
            "json",
            [{"op": "remove", "path": "/data/no"}],
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            "json",
            [{"op": "test", "path": "/data/a", "value": "2"}],
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            "json",
            [{"op": "add", "path": "data", "value": "2"}],
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            "json",
            [{"op": "test", "path": "/data/a", "value": "1"}] * 10_001,
            413,
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
        ),
        ("strategic", "{", 400, "unexpected end of JSON input"),
        (
            "strategic",
            {"data": {"a": 1}},
            422,
            ' "" is invalid: patch: Invalid value: "map[data:map[a:1]]": cannot convert int64 to string',
        ),
        ("strategic", {"data": {"$patch": "bogus"}}, 500, "unknown patch type: bogus in map: map[$patch:bogus]"),
    ],
)
def test_patches_that_do_not_fit(shared: Namespace, kind: str, change: Any, code: int, words: str) -> None:
    shared.post("configmaps", config_map("p"))
    media = {"merge": "application/merge-patch+json", "json": JSON_PATCH, "strategic": STRATEGIC}[kind]
    answer = shared.patch("configmaps", "p", change, media)
    assert (answer.status, answer.body["message"]) == (code, words)
    assert shared.get("configmaps", "/p").body["data"] == {"a": "1"}


def test_patches_that_fit(namespace: Namespace) -> None:
    namespace.post("configmaps", config_map())
    assert namespace.patch("configmaps", "c", {"data": {"b": "2", "a": None}}).body["data"] == {"b": "2"}
    operations = [{"op": "replace", "path": "/data/new", "value": "3"}]
    assert namespace.patch("configmaps", "c", operations, JSON_PATCH).body["data"] == {"b": "2", "new": "3"}
    namespace.post("deployments.apps", deployment())
    env = {"spec": {"template": {"spec": {"containers": [{"name": "m", "env": [{"name": "A", "value": "1"}]}]}}}}
    (container,) = namespace.patch("deployments.apps", "d", env, STRATEGIC).body["spec"]["template"]["spec"][
        "containers"
    ]
    assert (container["image"], container["env"]) == ("registry/image:v1", [{"name": "A", "value": "1"}])
    keyless = {"spec": {"template": {"spec": {"containers": [{"image": "x"}]}}}}
    refused = namespace.patch("deployments.apps", "d", keyless, STRATEGIC)
    assert refused.body["message"] == "map: map[image:x] does not contain declared merge key: name"


def test_a_strategic_patch_merges_the_lists_that_have_a_key(namespace: Namespace) -> None:
    namespace.post("deployments.apps", deployment())
    spread = {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
    for name in ("a", "b"):
        constraints, tolerations = [spread | {"topologyKey": name}], [{"key": name, "operator": "Exists"}]
        pod = {"topologySpreadConstraints": constraints, "tolerations": tolerations}
        answer = namespace.patch("deployments.apps", "d", {"spec": {"template": {"spec": pod}}}, STRATEGIC)
    found = answer.body["spec"]["template"]["spec"]
    assert sorted(each["topologyKey"] for each in found["topologySpreadConstraints"]) == ["a", "b"]
    assert found["tolerations"] == [{"key": "b", "operator": "Exists"}]


def test_what_is_immutable_stays(namespace: Namespace) -> None:
    namespace.post("configmaps", config_map() | {"immutable": True})
    for change, field in (({"data": {"a": "2"}}, "data"), ({"immutable": False}, "immutable")):
        refused = namespace.patch("configmaps", "c", change)
        words = "Forbidden: field is immutable when `immutable` is set"
        assert (refused.status, refused.body["message"]) == (422, f'ConfigMap "c" is invalid: {field}: {words}')
        assert refused.body["details"]["causes"][0]["reason"] == "FieldValueForbidden"
    assert namespace.patch("configmaps", "c", {"metadata": {"labels": {"a": "b"}}}).status == 200
    namespace.post("secrets", secret(data={"a": "ZA=="}))
    refused = namespace.patch("secrets", "s", {"type": "other"})
    assert refused.body["message"] == 'Secret "s" is invalid: type: Invalid value: "other": field is immutable'
    namespace.post("deployments.apps", deployment())
    changed = {"matchLabels": {"app": "d", "more": "1"}}
    mixed = {"spec": {"selector": changed, "template": {"metadata": {"labels": {"more": "1"}}}}}
    refused = namespace.patch("deployments.apps", "d", mixed)
    assert refused.body["message"] == (
        'Deployment.apps "d" is invalid: spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{'
        '"app":"d", "more":"1"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable'
    )
