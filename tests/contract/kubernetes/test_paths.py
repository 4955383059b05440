"""Paths, methods, forms and credentials: what is answered before any object is looked at."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from tests.contract.kubernetes.objects import config_map
from tests.contract.kubernetes.server import JSON, JSON_PATCH, MERGE, STRATEGIC, Namespace, Server, failure

YAML = "application/yaml"
NO_SUCH_RESOURCE = failure("the server could not find the requested resource", "NotFound", 404) | {"details": {}}
NOT_ALLOWED = failure("the server does not allow this method on the requested resource", "MethodNotAllowed", 405)
SERVED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
@pytest.mark.parametrize("token", [None, ""])
def test_whoever_asks_is_told_that_the_server_lives(server: Server, path: str, token: str | None) -> None:
    answer = server.ask("GET", path, token=token)
    assert (answer.status, answer.body) == (200, "ok")


def test_the_version_is_told_to_anybody(server: Server) -> None:
    answer = server.ask("GET", "/version", token="")
    assert answer.status == 200
    assert (answer.body["major"], answer.body["minor"]) == ("1", "32")


def test_the_paths_and_groups_are_listed(server: Server) -> None:
    assert "/version" in server.ask("GET", "/").body["paths"]
    assert server.ask("GET", "/api").body["versions"] == ["v1"]
    group = server.ask("GET", "/apis/apps").body
    assert (group["kind"], group["name"]) == ("APIGroup", "apps")
    assert group["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    resources = {each["name"]: each for each in server.ask("GET", "/api/v1").body["resources"]}
    assert resources["configmaps"]["shortNames"] == ["cm"]
    assert resources["pods/log"]["verbs"] == ["get"]


def test_discovery_in_one_answer_is_for_those_that_ask_for_it(server: Server) -> None:
    wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    answer = server.ask("GET", "/apis", accept=f"{wanted},application/json")
    assert (answer.content_type, answer.body["kind"]) == (wanted, "APIGroupDiscoveryList")
    assert server.ask("GET", "/apis").body["kind"] == "APIGroupList"


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/apis/absent.example.com", "/apis/absent.example.com/v1", "/apis/absent.example.com/v1/things"],
)
def test_a_path_of_no_group_is_plainly_not_there(server: Server, path: str) -> None:
    answer = server.ask("GET", path)
    assert (answer.status, answer.body) == (404, "404 page not found\n")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/default/unknown",
        "/api/v2/namespaces",
        "/apis/apps/v1/namespaces/default/unknown",
        "/apis/apps/v1beta1/deployments",
        "/apis/apps/v1/namespaces/default/deployments/x/bogus",
    ],
)
def test_a_resource_that_a_group_of_kubernetes_lacks_is_not_found(server: Server, path: str) -> None:
    answer = server.ask("GET", path)
    assert (answer.status, answer.body) == (404, NO_SUCH_RESOURCE)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("OPTIONS", "/api/v1/namespaces/default/configmaps"),
        ("POST", "/api/v1/namespaces/default/configmaps/x"),
        ("PUT", "/api/v1/namespaces/default/configmaps"),
        ("PATCH", "/api/v1/namespaces/default/configmaps"),
        ("POST", "/api/v1/configmaps"),
        ("POST", "/version"),
    ],
)
def test_a_method_that_a_path_has_nowhere_is_not_allowed(server: Server, method: str, path: str) -> None:
    answer = server.ask(method, path, {} if method != "OPTIONS" else None)
    assert answer.status == 405
    assert answer.body["message"] == NOT_ALLOWED["message"]
    assert answer.body["reason"] == "MethodNotAllowed"


@pytest.mark.parametrize("path", ["/api/v1/namespaces", "/nothing", "/healthz"])
def test_a_wrong_token_opens_nothing(server: Server, path: str) -> None:
    answer = server.ask("GET", path, token="wrong")
    assert (answer.status, answer.body) == (401, failure("Unauthorized", "Unauthorized", 401))


def test_without_a_token_there_is_nothing_to_read(server: Server) -> None:
    answer = server.ask("GET", "/api/v1/namespaces/default/secrets", token="")
    assert answer.status in (401, 403)
    assert answer.body["kind"] == "Status"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "unexpected end of JSON input ({)"),
        ("", "unexpected end of JSON input (<empty>)"),
        ('{"a":1} x', "invalid character 'x' after top-level value ({\"a\":1} x)"),
        ("not json", "invalid character 'o' in literal null (expecting 'u') (6e6f74206a736f6e)"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string ({\"a\":1,})"),
        ('{"a" 1}', "invalid character '1' after object key ({\"a\" 1})"),
        ('{"a":[1 2]}', "invalid character '2' after array element ({\"a\":[1 2]})"),
        ('{"a":1 "b"}', 'invalid character \'"\' after object key:value pair ({"a":1 "b"})'),
        ("{'a':1}", "invalid character '\\'' looking for beginning of object key string ({'a':1})"),
        (
            "[]",
            "json: cannot unmarshal array into Go value of type struct { APIVersion string "
            '"json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" } (5b5d)',
        ),
    ],
)
def test_a_body_that_is_no_object_is_unrecognized(shared: Namespace, text: str, words: str) -> None:
    prefix = (
        "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error"
    )
    answer = shared.server.ask("POST", shared.path("configmaps"), text)
    assert (answer.status, answer.body) == (400, failure(f"{prefix}: {words}", "BadRequest", 400))


def test_yaml_is_read_and_written(shared: Namespace) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-yaml\ndata:\n  a: b\n"
    made = shared.server.ask("POST", shared.path("configmaps"), text, "application/yaml")
    assert (made.status, made.body["data"]) == (201, {"a": "b"})
    read = shared.server.ask("GET", shared.path("configmaps", "/from-yaml"), accept="application/yaml")
    assert read.content_type == "application/yaml"
    assert "name: from-yaml\n" in read.body
    faulty = shared.server.ask("POST", shared.path("configmaps"), "a: [", "application/yaml")
    assert faulty.body["message"] == (
        "the object provided is unrecognized (must be of type ConfigMap): yaml: line 1: did not find expected node "
        "content (613a205b)"
    )


NESTED = '{"a":' * 20_000 + "1" + "}" * 20_000
BOMB = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    + [f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in itertools.pairwise("abcdefgh")]
)


@pytest.mark.parametrize(
    ("text", "content_type", "words"),
    [
        (NESTED, JSON, "couldn't get version/kind; json parse error: invalid character '{' exceeded max depth"),
        ("[" * 100_000, YAML, r"yaml: exceeded max depth of \d+"),
        (BOMB, YAML, "yaml: document contains excessive aliasing"),
        ("a: &a [*a]", YAML, "yaml: anchor 'a' value contains itself"),
    ],
    ids=["json", "yaml", "aliases", "itself"],
)
def test_a_body_that_would_exhaust_the_server_is_refused(
    shared: Namespace, text: str, content_type: str, words: str
) -> None:
    answer = shared.server.ask("POST", shared.path("configmaps"), text, content_type)
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")
    prefix = r"the object provided is unrecognized \(must be of type ConfigMap\): "
    assert re.fullmatch(rf"{prefix}{words} \(.+\)", answer.body["message"])
    assert shared.get("configmaps").status == 200


@pytest.mark.parametrize(
    ("content_type", "prefix"),
    [(MERGE, "error decoding patch: "), (STRATEGIC, ""), (JSON_PATCH, "error decoding patch: ")],
)
def test_a_patch_that_nests_too_deep_is_refused(shared: Namespace, content_type: str, prefix: str) -> None:
    shared.post("configmaps", config_map("deep"))
    answer = shared.server.ask("PATCH", shared.path("configmaps", "/deep"), NESTED, content_type)
    words = f"{prefix}invalid character '{{' exceeded max depth"
    assert (answer.status, answer.body) == (400, failure(words, "BadRequest", 400))


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded"])
def test_other_forms_of_a_body_are_refused(shared: Namespace, content_type: str) -> None:
    words = f"the body of the request was in an unknown format - accepted media types include: {SERVED}"
    answer = shared.server.ask("POST", shared.path("configmaps"), config_map("x"), content_type)
    assert (answer.status, answer.body) == (415, failure(words, "UnsupportedMediaType", 415))


def test_other_forms_of_an_answer_are_not_acceptable(shared: Namespace) -> None:
    shared.post("configmaps", config_map("read"))
    answer = shared.server.ask("GET", shared.path("configmaps", "/read"), accept="text/html")
    words = f"406: Not Acceptable\n\nAvailable representations: {SERVED}"
    assert (answer.status, answer.body["message"], answer.body["reason"]) == (406, words, "NotAcceptable")
    assert answer.body["details"] == {}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_a_patch_needs_one_of_its_own_forms(shared: Namespace, content_type: str) -> None:
    shared.post("configmaps", config_map("patched"))
    answer = shared.patch("configmaps", "patched", {}, content_type)
    assert (answer.status, answer.body["message"]) == (415, "415: Unsupported Media Type")
    assert answer.body["details"] == {}
    custom = shared.server.ask("PATCH", shared.path("seldondeployments.machinelearning.seldon.io", "/x"), {})
    assert custom.body["message"] == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )


def test_a_body_of_more_than_three_mebibytes_is_not_read(shared: Namespace) -> None:
    answer = shared.post("configmaps", config_map("big", {"a": "b" * 4_000_000}))
    words = "Request entity too large: limit is 3145728"
    assert (answer.status, answer.body) == (413, failure(words, "RequestEntityTooLarge", 413))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?dryRun=Bogus", 'dryRun: Unsupported value: []string{"Bogus"}: supported values: "All"'),
        (
            "?fieldValidation=Bogus",
            'fieldValidation: Unsupported value: "Bogus": supported values: "", "Ignore", "Strict", "Warn"',
        ),
        (f"?fieldManager={'a' * 200}", "fieldManager: Too long: may not be more than 128 bytes"),
    ],
)
def test_options_that_do_not_exist_are_invalid(shared: Namespace, query: str, words: str) -> None:
    answer: Any = shared.post("configmaps", config_map("options"), query)
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    assert answer.body["message"] == f'CreateOptions.meta.k8s.io "" is invalid: {words}'
    assert answer.body["details"]["kind"] == "CreateOptions"
