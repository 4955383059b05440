"""What users type, and what the genuine kubectl prints about what it is answered."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.contract.kubernetes.objects import Object, config_map, deployment, seldon, with_container
from tests.contract.kubernetes.server import Namespace

SELDON = "seldondeployments.machinelearning.seldon.io"


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Both of its outputs, without the last line feed."""
    return (done.stdout + done.stderr).rstrip("\n")


def test_apply_creates_leaves_alone_changes_and_prunes(namespace: Namespace) -> None:
    assert said(namespace.apply(config_map())) == "configmap/c created"
    assert said(namespace.apply(config_map())) == "configmap/c unchanged"
    assert said(namespace.apply(config_map(data={"a": "2", "b": "3"}))) == "configmap/c configured"
    assert said(namespace.apply(config_map(data={"b": "3"}))) == "configmap/c configured"
    assert namespace.kubectl("get", "cm", "c", "-o", "jsonpath={.data}").stdout == '{"b":"3"}'
    assert said(namespace.apply(seldon())) == "seldondeployment.machinelearning.seldon.io/m created"
    assert said(namespace.apply(seldon())) == "seldondeployment.machinelearning.seldon.io/m unchanged"
    assert said(namespace.apply(deployment())) == "deployment.apps/d created"
    assert said(namespace.apply(deployment())) == "deployment.apps/d unchanged"


def test_a_dry_run_and_a_diff_change_nothing(namespace: Namespace) -> None:
    namespace.apply(config_map())
    changed = config_map(data={"z": "1"})
    assert said(namespace.apply(changed, "--dry-run=server")) == "configmap/c configured (server dry run)"
    assert said(namespace.apply(changed, "--dry-run=client")) == "configmap/c configured (dry run)"
    difference = namespace.kubectl("diff", "-f", "-", stdin=json.dumps(changed))
    assert difference.returncode == 1
    assert '+  z: "1"' in difference.stdout
    assert namespace.kubectl("diff", "-f", "-", stdin=json.dumps(config_map())).returncode == 0
    assert namespace.kubectl("get", "cm", "c", "-o", "jsonpath={.data}").stdout == '{"a":"1"}'


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            config_map("n") | {"bogus": 1},
            'Error from server (BadRequest): error when creating "STDIN": ConfigMap in version "v1" cannot be handled '
            'as a ConfigMap: strict decoding error: unknown field "bogus"',
        ),
        (
            with_container(imagee="x"),
            'Error from server (BadRequest): error when creating "STDIN": Deployment in version "v1" cannot be handled '
            'as a Deployment: strict decoding error: unknown field "spec.template.spec.containers[0].imagee"',
        ),
        (
            with_container(image=""),
            'The Deployment "n" is invalid: spec.template.spec.containers[0].image: Required value',
        ),
        (
            seldon("n", replicas="two"),
            'The SeldonDeployment "n" is invalid: spec.predictors[0].replicas: Invalid value: "string": '
            'spec.predictors[0].replicas in body must be of type integer: "string"',
        ),
        (
            {"apiVersion": "v1", "kind": "Bogus", "metadata": {"name": "x"}},
            'error: resource mapping not found for name: "x" namespace: "" from "STDIN": no matches for kind "Bogus" '
            'in version "v1"\nensure CRDs are installed first',
        ),
        (
            config_map("x", namespace="other"),
            'error: the namespace from the provided object "other" does not match the namespace "NAMESPACE". You must '
            "pass '--namespace=other' to perform this operation.",
        ),
    ],
)
def test_faulty_manifests(shared: Namespace, item: Object, words: str) -> None:
    refused = shared.apply(item)
    assert refused.returncode == 1
    assert said(refused) == words.replace("NAMESPACE", shared.name)


def test_unknown_fields_are_warned_of_where_that_is_asked_for(namespace: Namespace) -> None:
    done = namespace.apply(config_map() | {"bogus": 1}, "--validate=warn")
    assert done.stdout == "configmap/c created\n"
    assert 'Warning: unknown field "bogus"' in done.stderr


def test_get_in_all_its_forms(namespace: Namespace) -> None:
    namespace.apply(config_map(labels={"x": "y"}))
    namespace.apply(config_map("other"))
    assert namespace.kubectl("get", "cm", "c", "-o", "name").stdout == "configmap/c\n"
    assert namespace.kubectl("get", "cm", "-l", "x=y", "-o", "name").stdout == "configmap/c\n"
    assert namespace.kubectl("get", "cm", "--field-selector", "metadata.name=other", "--no-headers").stdout.startswith(
        "other "
    )
    head, row = namespace.kubectl("get", "cm", "c").stdout.splitlines()
    assert head.split() == ["NAME", "DATA", "AGE"]
    assert row.split()[:2] == ["c", "1"]
    every = namespace.kubectl("get", "cm", "-A", "-l", "x=y", "--no-headers").stdout
    assert any(line.split()[:2] == [namespace.name, "c"] for line in every.splitlines())
    assert "  name: c\n" in namespace.kubectl("get", "cm", "c", "-o", "yaml").stdout
    listed: Any = json.loads(namespace.kubectl("get", "cm", "-l", "x=y", "-o", "json").stdout)
    assert (listed["kind"], listed["items"][0]["kind"]) == ("List", "ConfigMap")
    assert said(namespace.kubectl("get", "pods")) == f"No resources found in {namespace.name} namespace."
    described = namespace.kubectl("describe", "cm", "c").stdout
    assert "Labels:       x=y" in described
    assert "Data\n====\na:\n----\n1\n" in described


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("get cm no", 'Error from server (NotFound): configmaps "no" not found'),
        ("get sdep no", f'Error from server (NotFound): {SELDON} "no" not found'),
        ("get nothing", 'error: the server doesn\'t have a resource type "nothing"'),
        ("describe cm no", 'Error from server (NotFound): configmaps "no" not found'),
        ("delete cm no", 'Error from server (NotFound): configmaps "no" not found'),
        ("logs no", 'error: error from server (NotFound): pods "no" not found in namespace "NAMESPACE"'),
        (
            "logs deploy/no",
            'error: error from server (NotFound): deployments.apps "no" not found in namespace "NAMESPACE"',
        ),
        ("exec no -- ls", 'Error from server (NotFound): pods "no" not found'),
        ("label cm no a=b", 'Error from server (NotFound): configmaps "no" not found'),
        ("wait --for=condition=Ready sdep/no --timeout=1s", f'Error from server (NotFound): {SELDON} "no" not found'),
        (
            "get cm --field-selector data.a=b",
            'Error from server (BadRequest): Unable to find "/v1, Resource=configmaps" that match label selector "", '
            'field selector "data.a=b": "data.a" is not a known field selector: only "metadata.name", '
            '"metadata.namespace"',
        ),
        ("get --raw /nothing", "Error from server (NotFound): the server could not find the requested resource"),
        (
            "create configmap Bad_Name --from-literal=a=b",
            'error: failed to create configmap: ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: '
            "\"Bad_Name\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
            "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation "
            "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ),
    ],
)
def test_what_is_not_there_or_not_possible(shared: Namespace, command: str, words: str) -> None:
    refused = shared.kubectl(*command.split())
    assert refused.returncode == 1
    assert said(refused) == words.replace("NAMESPACE", shared.name)


def test_imperative_creation_and_its_repetition(namespace: Namespace) -> None:
    assert said(namespace.kubectl("create", "configmap", "lit", "--from-literal=a=b")) == "configmap/lit created"
    again = namespace.kubectl("create", "configmap", "lit", "--from-literal=a=b")
    assert said(again) == 'error: failed to create configmap: configmaps "lit" already exists'
    made = namespace.kubectl("create", "secret", "generic", "key", "--from-literal=password=s3cret")
    assert said(made) == "secret/key created"
    assert namespace.kubectl("get", "secret", "key", "-o", "jsonpath={.data.password}").stdout == "czNjcmV0"
    found = said(namespace.server.kubectl("create", "namespace", namespace.name))
    assert found == f'Error from server (AlreadyExists): namespaces "{namespace.name}" already exists'


def test_labels_and_annotations_are_overwritten_only_on_demand(namespace: Namespace) -> None:
    namespace.apply(config_map())
    for verb, done in (("label", "labeled"), ("annotate", "annotated")):
        assert said(namespace.kubectl(verb, "cm", "c", "note=1")) == f"configmap/c {done}"
        refused = namespace.kubectl(verb, "cm", "c", "note=2")
        assert refused.returncode == 1
        assert "'note' already has a value (1)" in refused.stderr
        assert said(namespace.kubectl(verb, "cm", "c", "note=2", "--overwrite")) == f"configmap/c {done}"
    assert said(namespace.kubectl("label", "cm", "c", "note-")) == "configmap/c unlabeled"
    metadata = json.loads(namespace.kubectl("get", "cm", "c", "-o", "json").stdout)["metadata"]
    assert "labels" not in metadata
    assert metadata["annotations"]["note"] == "2"


def test_patches_of_every_type(namespace: Namespace) -> None:
    namespace.apply(config_map())
    assert said(namespace.kubectl("patch", "cm", "c", "-p", '{"data":{"k":"v"}}')) == "configmap/c patched"
    assert said(namespace.kubectl("patch", "cm", "c", "-p", '{"data":{"k":"v"}}')) == "configmap/c patched (no change)"
    refused = namespace.kubectl("patch", "cm", "c", "--type", "json", "-p", '[{"op":"remove","path":"/data/no"}]')
    assert said(refused) == "The request is invalid: the server rejected our request due to an error in our request"
    refused = namespace.kubectl("patch", "cm", "c", "-p", '{"data":{"k":1}}')
    assert said(refused) == (
        'The request is invalid: patch: Invalid value: "map[data:map[k:1]]": cannot convert int64 to string'
    )
    stale = '{"metadata":{"resourceVersion":"1"},"data":{"k":"q"}}'
    refused = namespace.kubectl("patch", "cm", "c", "--type", "merge", "-p", stale)
    assert said(refused) == (
        'Error from server (Conflict): Operation cannot be fulfilled on configmaps "c": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    namespace.apply(seldon())
    refused = namespace.kubectl("patch", "sdep", "m", "-p", "{}")
    assert "application/strategic-merge-patch+json is not supported by" in refused.stderr


def test_replacing_and_creating_again(namespace: Namespace) -> None:
    namespace.apply(config_map())
    new = json.dumps(config_map(data={"r": "1"}))
    assert said(namespace.kubectl("replace", "-f", "-", stdin=new)) == "configmap/c replaced"
    stale = json.dumps(config_map(resourceVersion="1"))
    refused = namespace.kubectl("replace", "-f", "-", stdin=stale)
    assert said(refused) == (
        'Error from server (Conflict): error when replacing "STDIN": Operation cannot be fulfilled on configmaps "c": '
        "the object has been modified; please apply your changes to the latest version and try again"
    )
    refused = namespace.kubectl("create", "-f", "-", stdin=new)
    assert said(refused) == (
        'Error from server (AlreadyExists): error when creating "STDIN": configmaps "c" already exists'
    )


@pytest.mark.slow
def test_deleting_and_waiting(namespace: Namespace) -> None:
    namespace.apply(config_map())
    assert said(namespace.kubectl("delete", "cm", "c")) == 'configmap "c" deleted'
    assert said(namespace.kubectl("delete", "cm", "c", "--ignore-not-found")) == ""
    assert namespace.kubectl("wait", "--for=delete", "cm/c", "--timeout=5s").returncode == 0
    namespace.apply(config_map("kept", finalizers=["example.com/f"]))
    late = namespace.kubectl("delete", "cm", "kept", "--timeout=1s")
    assert late.returncode == 1
    assert "timed out waiting for the condition on configmaps/kept" in late.stderr
    namespace.kubectl("patch", "cm", "kept", "--type", "merge", "-p", '{"metadata":{"finalizers":null}}')
    assert namespace.get("configmaps", "/kept").status == 404
    namespace.apply(deployment())
    assert said(namespace.kubectl("delete", "deploy", "d", "--cascade=foreground")) == 'deployment.apps "d" deleted'
    namespace.apply(seldon())
    waited = namespace.kubectl("wait", "--for=condition=Absent", "sdep/m", "--timeout=1s")
    assert said(waited) == "error: timed out waiting for the condition on seldondeployments/m"


def test_a_watch_prints_changes_as_they_happen(namespace: Namespace) -> None:
    namespace.apply(config_map("w"))
    # Of a list, kubectl watches from what it has printed; of one object, from whenever the watch begins.
    selected = ("cm", "--field-selector=metadata.name=w")
    watching = namespace.start("get", *selected, "-w", "--output-watch-events", "--no-headers")
    assert watching.stdout
    try:
        assert watching.stdout.readline().split()[:3] == ["ADDED", "w", "1"]
        namespace.patch("configmaps", "w", {"data": {"more": "1"}})
        assert watching.stdout.readline().split()[:3] == ["MODIFIED", "w", "2"]
        namespace.server.ask("DELETE", namespace.path("configmaps", "/w"))
        assert watching.stdout.readline().split()[:3] == ["DELETED", "w", "2"]
    finally:
        watching.terminate()
        watching.communicate()
