"""What is refused in an object that can be read (test_decoding), and how: names, and the rules of each kind."""

from __future__ import annotations

import pytest

from tests.contract.kubernetes.objects import (
    Object,
    config_map,
    in_seldon,
    secret,
    seldon,
)
from tests.contract.kubernetes.server import Namespace
from tests.contract.kubernetes.words import CUSTOM_QUANTITY, KEY, LABEL, SUBDOMAIN, VALUE

SELDON = "seldondeployments.machinelearning.seldon.io"
POD = "spec.predictors[0].componentSpecs[0].spec"


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (config_map("Bad_Name"), f'metadata.name: Invalid value: "Bad_Name": {SUBDOMAIN}'),
        (config_map(""), "metadata.name: Required value: name or generateName is required"),
        (
            config_map("a" * 254),
            f'metadata.name: Invalid value: "{"a" * 254}": must be no more than 253 characters',
        ),
        (config_map("n", labels={"a": "b c"}), f'metadata.labels: Invalid value: "b c": {VALUE}'),
        (
            config_map("n", labels={"a": "b" * 64}),
            f'metadata.labels: Invalid value: "{"b" * 64}": must be no more than 63 characters',
        ),
        (
            config_map("n", annotations={"a": "b" * 300_000}),
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
        (
            config_map("n", finalizers=["bad"]),
            'metadata.finalizers[0]: Invalid value: "bad": name is neither a standard finalizer name nor is it fully '
            "qualified",
        ),
        (config_map("n", {"a b": "1"}), f'data[a b]: Invalid value: "a b": {KEY}'),
        (config_map("n", {"..": "1"}), "data[..]: Invalid value: \"..\": must not be '..'"),
        (
            config_map("n") | {"binaryData": {"a": "AQI="}},
            'data[a]: Invalid value: "a": duplicate of key present in binaryData',
        ),
        (config_map("n", {"a": "b" * 1_100_000}), "[]: Too long: may not be more than 1048576 bytes"),
    ],
)
def test_config_maps(shared: Namespace, item: Object, words: str) -> None:
    answer = shared.post("configmaps", item)
    message = f'ConfigMap "{item["metadata"]["name"]}" is invalid: {words}'
    assert (answer.status, answer.body["reason"], answer.body["message"]) == (422, "Invalid", message)
    (cause,) = answer.body["details"]["causes"]
    assert f"{cause['field']}: {cause['message']}" == words
    reason = {"Required value": "FieldValueRequired", "Too long": "FieldValueTooLong"}
    assert cause["reason"] == reason.get(cause["message"].partition(":")[0], "FieldValueInvalid")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": "kubernetes.io/tls"}, "[data[tls.crt]: Required value, data[tls.key]: Required value]"),
        ({"type": "kubernetes.io/dockerconfigjson"}, "data[.dockerconfigjson]: Required value"),
        (
            {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "ZA=="}},
            "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": invalid character 'd' looking for "
            "beginning of value",
        ),
        ({"type": "kubernetes.io/basic-auth"}, "[data[username]: Required value, data[password]: Required value]"),
        ({"stringData": {"a": "b" * 1_100_000}}, "data: Too long: may not be more than 1048576 bytes"),
    ],
)
def test_secrets(shared: Namespace, fields: Object, words: str) -> None:
    answer = shared.post("secrets", secret("n", **fields))
    assert (answer.status, answer.body["message"]) == (422, f'Secret "n" is invalid: {words}')


@pytest.mark.parametrize(
    ("item", "code", "words"),
    [
        (
            secret("n"),
            400,
            'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): '
            "unknown conversion",
        ),
        (
            config_map("n") | {"apiVersion": "v2"},
            400,
            'ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version '
            '"v2" in scheme "pkg/runtime/scheme.go:100"',
        ),
        (
            config_map("n", namespace="other"),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ],
)
def test_objects_that_belong_elsewhere(shared: Namespace, item: Object, code: int, words: str) -> None:
    answer = shared.post("configmaps", item)
    assert (answer.status, answer.body["message"]) == (code, words)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            seldon("n", replicas="two"),
            'spec.predictors[0].replicas: Invalid value: "string": spec.predictors[0].replicas in body must be of type '
            'integer: "string"',
        ),
        (
            seldon("n") | {"spec": {"predictors": [], "replicas": "x"}},
            '[spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string", '
            ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: x is of the type string, expected int64]",
        ),
        (seldon("n", graph={}), "spec.predictors[0].graph.name: Required value"),
        (
            seldon("n") | {"spec": {"predictors": [None]}},
            'spec.predictors[0]: Invalid value: "null": spec.predictors[0] in body must be of type object: "null"',
        ),
        (
            in_seldon(envFrom="x"),
            f'{POD}.containers[0].envFrom: Invalid value: "string": {POD}.containers[0].envFrom in body must be of '
            'type array: "string"',
        ),
        (
            in_seldon(readinessProbe={"httpGet": {}}),
            f"{POD}.containers[0].readinessProbe.httpGet.port: Required value",
        ),
        (
            in_seldon(securityContext={"runAsUser": "0"}),
            f'{POD}.containers[0].securityContext.runAsUser: Invalid value: "string": '
            f'{POD}.containers[0].securityContext.runAsUser in body must be of type integer: "string"',
        ),
        (
            in_seldon(resources={"limits": {"cpu": "abc"}}),
            f'{POD}.containers[0].resources.limits.cpu: Invalid value: "abc": {POD}.containers[0].resources.limits.cpu '
            f"in body should match '{CUSTOM_QUANTITY}'",
        ),
        (in_seldon(volumeMounts=[{"name": "x"}]), f"{POD}.containers[0].volumeMounts[0].mountPath: Required value"),
        (seldon("Bad_Name"), f'metadata.name: Invalid value: "Bad_Name": {SUBDOMAIN}'),
    ],
)
def test_seldon_deployments(shared: Namespace, item: Object, words: str) -> None:
    answer = shared.post(SELDON, item)
    name = item["metadata"]["name"]
    assert answer.status == 422
    assert answer.body["message"] == f'SeldonDeployment.machinelearning.seldon.io "{name}" is invalid: {words}'
    assert answer.body["details"]["group"] == "machinelearning.seldon.io"


def test_a_custom_object_must_say_what_it_is(shared: Namespace) -> None:
    answer = shared.post(SELDON, "{}")
    assert answer.body["message"] == (
        "the object provided is unrecognized (must be of type SeldonDeployment): Object 'Kind' is missing in '{}' ({})"
    )
    other = shared.post(SELDON, seldon("n") | {"kind": "Foo"})
    assert (other.status, other.body["details"]["kind"]) == (422, "Foo")
    assert 'kind: Invalid value: "Foo": must be SeldonDeployment' in other.body["message"]
    labels = shared.post(SELDON, seldon("n") | {"metadata": {"name": "n", "labels": {"a": 1}}})
    assert labels.body["message"] == (
        'SeldonDeployment in version "v1" cannot be handled as a SeldonDeployment: json: cannot unmarshal number into '
        "Go struct field ObjectMeta.labels of type string"
    )


@pytest.mark.parametrize(
    ("name", "words"), [("Bad_Name", LABEL), ("a.b", "must not contain dots"), ("", "name or generateName is required")]
)
def test_namespaces(shared: Namespace, name: str, words: str) -> None:
    answer = shared.server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert answer.status == 422
    assert answer.body["message"].startswith(f'Namespace "{name}" is invalid: ')
    assert words in answer.body["message"]
