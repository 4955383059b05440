"""Lists, pages, selectors, tables and watches."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.contract.kubernetes.objects import config_map, event
from tests.contract.kubernetes.server import Namespace

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
SELDON = "seldondeployments.machinelearning.seldon.io"


@pytest.fixture(scope="module")
def many(shared: Namespace) -> Namespace:
    """Five ConfigMaps: a to e; a and b labelled."""
    for name in "abcde":
        labels = {"labels": {"first": name, "app": "x"}} if name in "ab" else {}
        shared.post("configmaps", config_map(name, **labels))
    return shared


def names(body: Any) -> list[str]:
    """The names of a list's items."""
    return [item["metadata"]["name"] for item in body["items"] if item["metadata"]["name"] != "kube-root-ca.crt"]


def test_a_list_says_once_what_its_items_are(many: Namespace) -> None:
    body = many.get("configmaps").body
    assert (body["kind"], body["apiVersion"]) == ("ConfigMapList", "v1")
    assert names(body) == list("abcde")
    assert not any("kind" in item for item in body["items"])
    assert body["metadata"]["resourceVersion"].isdecimal()


def test_pages_follow_each_other(many: Namespace) -> None:
    first = many.get("configmaps", "?limit=2").body
    assert names(first) == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 3
    token = quote(first["metadata"]["continue"])
    second = many.get("configmaps", f"?limit=2&continue={token}").body
    assert (names(second), second["metadata"]["remainingItemCount"]) == (["c", "d"], 1)
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    last = many.get("configmaps", f"?limit=2&continue={quote(second['metadata']['continue'])}").body
    assert names(last) == ["e"]
    assert "continue" not in last["metadata"]
    refused = many.get("configmaps", f"?limit=2&resourceVersion=1&continue={token}")
    assert refused.body["message"] == "specifying resource version is not allowed when using continue"
    assert "continue key is not valid" in many.get("configmaps", "?limit=2&continue=xyz").body["message"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("labelSelector=first%3Da", "a"),
        ("labelSelector=first%3D%3Da,app", "a"),
        ("labelSelector=first%21%3Da,first", "b"),
        ("labelSelector=first+in+(a,b)", "ab"),
        ("labelSelector=first+notin+(a,b)", "cde"),
        ("labelSelector=!first", "cde"),
        ("fieldSelector=metadata.name%3Dd", "d"),
        ("fieldSelector=metadata.name%21%3Dd,metadata.name%21%3De", "abc"),
    ],
)
def test_selectors(many: Namespace, query: str, found: str) -> None:
    assert names(many.get("configmaps", f"?{query}").body) == list(found)


@pytest.mark.parametrize(
    ("resource", "query", "words"),
    [
        (
            "configmaps",
            "labelSelector=a+b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("configmaps", "labelSelector=a+in+b", "unable to parse requirement: found 'b' expected: '('"),
        ("configmaps", "labelSelector=a%3D%3D%3Db", "unable to parse requirement: found '=', expected: identifier"),
        ("configmaps", "labelSelector=a,,b", "found ',', expected: identifier after ','"),
        (
            "configmaps",
            "labelSelector=a%3Ex",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be "
            "an integer",
        ),
        (
            "configmaps",
            "labelSelector=-a%3Db",
            'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or "
            "'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
        ("configmaps", "fieldSelector=x", "invalid selector: 'x'; can't understand 'x'"),
        (
            "configmaps",
            "fieldSelector=data.a%3D1",
            '"data.a" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        ("pods", "fieldSelector=spec.bogus%3D1", "field label not supported: spec.bogus"),
        (SELDON, "fieldSelector=spec.x%3D1", "field label not supported: spec.x"),
        ("configmaps", "limit=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("configmaps", "watch=true&timeoutSeconds=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
def test_selectors_and_numbers_that_cannot_be_read(shared: Namespace, resource: str, query: str, words: str) -> None:
    answer = shared.get(resource, f"?{query}")
    assert (answer.status, answer.body["reason"], answer.body["message"]) == (400, "BadRequest", words)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "resourceVersionMatch=Exact",
            "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersion=1&resourceVersionMatch=Bogus",
            'Unsupported value: "Bogus": supported values: "Exact", "NotOlderThan", ""',
        ),
        (
            "resourceVersion=0&resourceVersionMatch=Exact",
            'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
        (
            "watch=true&resourceVersionMatch=NotOlderThan",
            "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    ],
)
def test_versions_that_match_nothing(shared: Namespace, query: str, words: str) -> None:
    answer = shared.get("configmaps", f"?{query}")
    message = f'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: {words}'
    assert (answer.status, answer.body["message"]) == (422, message)


def test_a_version_of_the_future_is_waited_for_in_vain(shared: Namespace) -> None:
    body = shared.get("configmaps", "?resourceVersion=99999999").body
    assert (body["code"], body["reason"]) == (504, "Timeout")
    assert body["message"].startswith("Timeout: Too large resource version: 99999999, current: ")
    assert body["details"]["causes"] == [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    assert shared.get("configmaps", "?resourceVersion=x").status == 500


def test_a_table_has_the_cells_that_kubectl_prints(many: Namespace) -> None:
    path = many.path("configmaps", "?fieldSelector=metadata.name%3Da")
    table = many.server.ask("GET", path, accept=TABLE).body
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    (row,) = table["rows"]
    assert row["cells"][:2] == ["a", 1]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["namespace"] == many.name


def test_an_event_of_nothing_is_a_row_all_the_same(many: Namespace) -> None:
    path = "/api/v1/namespaces/default/events"
    name = f"of-nothing-{many.name}"
    assert many.server.ask("POST", path, event(name)).status == 201
    answer = many.server.ask("GET", f"{path}?fieldSelector=metadata.name%3D{name}", accept=TABLE)
    many.server.ask("DELETE", f"{path}/{name}")
    assert (answer.status, len(answer.body["rows"])) == (200, 1)


def test_metadata_alone(many: Namespace) -> None:
    accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    found = many.server.ask("GET", many.path("configmaps", "/a"), accept=accept).body
    assert (found["kind"], found["metadata"]["name"]) == ("PartialObjectMetadata", "a")
    assert "data" not in found


@pytest.mark.slow
def test_a_watch_begins_with_what_is_there_or_with_a_version(many: Namespace) -> None:
    def watched(query: str) -> list[Any]:
        text = many.get("configmaps", f"?watch=true&timeoutSeconds=3&fieldSelector=metadata.name%3Dw{query}").body
        lines = text.splitlines() if isinstance(text, str) else [json.dumps(text)]
        return [(event["type"], event["object"]) for event in map(json.loads, filter(None, lines))]

    version = many.post("configmaps", config_map("w")).body["metadata"]["resourceVersion"]
    assert [(kind, each["metadata"]["name"]) for kind, each in watched("")] == [("ADDED", "w")]
    assert watched("")[0][1]["kind"] == "ConfigMap"
    many.patch("configmaps", "w", {"data": {"a": "2"}})
    many.server.ask("DELETE", many.path("configmaps", "/w"))
    assert [kind for kind, _ in watched(f"&resourceVersion={version}")] == ["MODIFIED", "DELETED"]
    wanted = "&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    (kind, marker) = watched(wanted)[-1]
    assert kind == "BOOKMARK"
    assert marker["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"


def test_a_watch_with_a_selector_is_told_of_what_ceases_to_match(namespace: Namespace) -> None:
    made = namespace.post("configmaps", config_map("w", labels={"a": "1"})).body["metadata"]["resourceVersion"]
    for number, value in enumerate(("2", "1", "1", "3")):
        change = {"metadata": {"labels": {"a": value}}, "data": {"changed": str(number)}}
        assert namespace.patch("configmaps", "w", change).status == 200
    query = f"?watch=true&timeoutSeconds=1&labelSelector=a%3D1&resourceVersion={made}"
    seen = [json.loads(line) for line in namespace.get("configmaps", query).body.splitlines()]
    assert [each["type"] for each in seen] == ["DELETED", "ADDED", "MODIFIED", "DELETED"]
    assert seen[-1]["object"]["metadata"]["labels"] == {"a": "1"}
    assert int(seen[-1]["object"]["metadata"]["resourceVersion"]) > int(made)


def test_a_watch_of_one_object_by_its_path_is_the_object(many: Namespace) -> None:
    assert many.get("configmaps", "/a?watch=true").body["metadata"]["name"] == "a"
