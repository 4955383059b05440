"""The REST surface of the genuine microservice: paths, methods and headers as Seldon's executor 1.17 gives them."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import requests

from deploy.fashion_classifier.openapi import example_request
from tests.deploy.microservice import Microservice

pytestmark = pytest.mark.xdist_group("microservice")

POSTED = [f"/api/{version}/{name}" for version in ("v1.0", "v0.1") for name in ("predictions", "feedback")]
READ = ["/ready", "/live", "/health/ping", "/health/status", "/metadata"] + [
    f"/api/{version}/{name}"
    for version in ("v1.0", "v0.1")
    for name in (
        "health/status", "status", "status/fashion-classifier", "metadata", "metadata/fashion-classifier"
    )
]  # fmt: skip


def ask(microservice: Microservice, method: str, path: str, **options: Any) -> requests.Response:
    return requests.request(method, microservice.url + path, timeout=30, allow_redirects=False, **options)


@pytest.mark.parametrize("path", READ)
def test_the_executors_paths_answer_get_and_head(microservice: Microservice, path: str) -> None:
    answer = ask(microservice, "GET", path, headers={"Seldon-Puid": "mine"})
    assert answer.status_code == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Seldon-Puid"] == "mine"
    head = ask(microservice, "HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Seldon-Puid"]


def test_metadata_is_the_graphs_or_the_models(microservice: Microservice) -> None:
    model = microservice.get("/metadata").json()
    assert microservice.get("/api/v1.0/metadata/fashion-classifier").json() == model
    assert microservice.get("/api/v1.0/metadata").json() == {
        "name": "fashion-classifier",
        "models": {"fashion-classifier": model},
        "graphinputs": model["inputs"],
        "graphoutputs": model["outputs"],
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", POSTED)
def test_what_is_posted_takes_no_other_method(microservice: Microservice, path: str, method: str) -> None:
    answer = ask(microservice, method, path)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}
    if method != "HEAD":
        status = answer.json()["status"]
        assert status["reason"] == "MICROSERVICE_METHOD_NOT_ALLOWED"
        assert status["info"] == f"{method} is not served here; send POST"


def test_what_is_read_takes_no_post(microservice: Microservice) -> None:
    answer = ask(microservice, "POST", "/api/v1.0/status")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
@pytest.mark.parametrize("path", ["/nothing", "/api/v1.0/predictions/", "/api/v2.0/predictions", "/static/x"])
def test_an_unknown_path_is_404_for_every_method(microservice: Microservice, path: str, method: str) -> None:
    answer = ask(microservice, method, path)
    assert answer.status_code == 404
    assert answer.json()["status"]["reason"] == "MICROSERVICE_NOT_FOUND"
    assert path in answer.json()["status"]["info"]


def test_doubled_slashes_are_not_redirected_past_the_ingress_prefix(microservice: Microservice) -> None:
    assert ask(microservice, "GET", "/api//v1.0/status").status_code == 404


@pytest.mark.parametrize("path", ["/api/v1.0/status/other", "/api/v1.0/metadata/other", "/api/v0.1/status/other"])
def test_an_unknown_unit_is_404_with_the_name_of_the_known_one(microservice: Microservice, path: str) -> None:
    answer = ask(microservice, "GET", path)
    assert answer.status_code == 404
    assert answer.json()["status"]["info"] == "there is no unit 'other'; this one is 'fashion-classifier'"


@pytest.mark.parametrize("path", ["/route", "/aggregate", "/transform-input", "/transform-output"])
def test_paths_of_other_node_types_are_not_served(microservice: Microservice, path: str) -> None:
    assert microservice.post({"data": {"tensor": {"shape": [3], "values": [1]}}}, path).status_code == 404


@pytest.mark.parametrize("path", [*POSTED, "/api/v1.0/status", "/api/v1.0/metadata"])
def test_browsers_of_other_origins_may_ask(microservice: Microservice, path: str) -> None:
    method = "POST" if path in POSTED else "GET"
    preflight = ask(
        microservice,
        "OPTIONS",
        path,
        headers={
            "Origin": "http://shop.example",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "content-type, seldon-puid",
        },
    )
    assert (preflight.status_code, preflight.content) == (200, b"")
    assert method in preflight.headers["Access-Control-Allow-Methods"].split(",")
    allowed = {name.strip() for name in preflight.headers["Access-Control-Allow-Headers"].split(",")}
    assert allowed >= {"Accept", "Authorization", "Content-Type", "Seldon-Puid", "X-CSRF-Token"}
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    refused = ask(microservice, method, "/api/v1.0/status/other", headers={"Origin": "http://shop.example"})
    assert refused.headers["Access-Control-Allow-Origin"] == "*"
    assert refused.headers["Access-Control-Expose-Headers"] == "Seldon-Puid"


@pytest.mark.parametrize("path", POSTED)
def test_a_compressed_body_is_415(microservice: Microservice, path: str) -> None:
    body = json.dumps(example_request()).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = ask(microservice, "POST", path, data=gzip.compress(body), headers=headers)
    assert answer.status_code == 415
    assert "Content-Encoding: gzip" in answer.json()["status"]["info"]
    if path.endswith("predictions"):
        assert ask(microservice, "POST", path, data=body, headers=headers | {"Content-Encoding": "identity"}).ok


def test_a_chunked_body_is_read(microservice: Microservice) -> None:
    body = json.dumps(example_request()).encode()
    chunks = (body[start : start + 100] for start in range(0, len(body), 100))
    answer = ask(microservice, "POST", POSTED[0], data=chunks, headers={"Content-Type": "application/json"})
    assert answer.json()["data"]["names"][9] == "Ankle boot"


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/api/v1.0/doc", "doc/"),
        ("/seldon.json", "./api/v1.0/doc/openapi.json"),
    ],
)
def test_redirects_are_relative_so_that_they_keep_the_ingress_prefix(
    microservice: Microservice, path: str, location: str
) -> None:
    answer = ask(microservice, "GET", path)
    assert (answer.status_code, answer.headers["Location"]) == (308, location)


def test_a_page_is_sent_again_only_where_it_changed(microservice: Microservice) -> None:
    page = ask(microservice, "GET", "/api/v1.0/doc/")
    again = ask(microservice, "GET", "/api/v1.0/doc/", headers={"If-None-Match": page.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
