"""The Grafana dashboard asks only for metrics, labels and values that a running microservice exports."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from localcluster.settings import REPOSITORY
from tests.deploy.microservice import Microservice
from tests.deploy.test_protocol import IMAGES, MESSAGES, call
from tests.deploy.tiny_model import LABELS

pytestmark = pytest.mark.xdist_group("microservice")

DASHBOARD = REPOSITORY / "deploy" / "grafana" / "fashion-classifier.json"
SERIES = re.compile(r"((?:fashion_classifier|seldon)_\w+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"by \(([^)]*)\)")
MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')

SAMPLE = re.compile(r"(\w+)\{(.*)\} (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Samples = dict[str, list[tuple[dict[str, str], float]]]


def scraped(microservice: Microservice) -> Samples:
    """The samples that Prometheus would read, by name: labels and value."""
    found: Samples = {}
    for line in requests.get(microservice.metrics_url, timeout=30).text.splitlines():
        if sample := SAMPLE.fullmatch(line):
            found.setdefault(sample[1], []).append((dict(LABEL.findall(sample[2])), float(sample[3])))
    return found


@pytest.fixture(scope="module")
def exported(microservice: Microservice) -> Samples:
    """What is exported after a request of each kind, refusals and feedback, over REST and gRPC."""
    for message, _, _ in MESSAGES.values():
        assert microservice.post(message).status_code == 200
    assert microservice.post({}).status_code == 400
    message = MESSAGES["binData, PNG"][0]
    answer = microservice.post(message).json()
    assert microservice.post({"data": {"ndarray": [0] * 784}}).json()["meta"]["tags"]["outlier"]
    for truth in (LABELS[0], LABELS[1]):
        told = {"request": message, "response": answer, "truth": {"strData": truth}, "reward": 1}
        assert microservice.post(told, "/api/v1.0/feedback").status_code == 200
    call(microservice, ("Predict", message), ("Predict", {}), ("SendFeedback", {"request": {"strData": "x"}}))
    return scraped(microservice)


def queries() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]] + [
        variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"
    ]


@pytest.mark.parametrize("query", queries())
def test_what_a_query_asks_for_is_exported(exported: Samples, query: str) -> None:
    asked = SERIES.findall(query)
    assert asked
    for name, matchers in asked:
        assert name in exported
        labels = {label for group in GROUPED.findall(query) for label in group.split(", ")}
        assert all(labels <= found.keys() for found, _ in exported[name])
        for label, operator, value in MATCHER.findall(matchers):
            if value.startswith("$"):
                assert all(label in found for found, _ in exported[name])
            else:
                alternatives = value.split("|") if operator == "=~" else [value]
                assert _values(exported, name, label) & set(alternatives), (label, value)


def _values(exported: Samples, name: str, label: str) -> set[str]:
    return {labels[label] for labels, _ in exported[name]}


def test_every_kind_of_payload_and_refusal_is_counted(exported: Samples) -> None:
    payloads = {"tensor", "ndarray", "tftensor", "binData", "strData", "jsonData"}
    assert _values(exported, "fashion_classifier_images_total", "payload") == payloads
    refusals = exported["fashion_classifier_refusals_total"]
    counted = {(labels["method"], labels["status"]) for labels, _ in refusals}
    assert counted >= {("predict", "400"), ("predict", "INVALID_ARGUMENT"), ("feedback", "INVALID_ARGUMENT")}
    assert _values(exported, "fashion_classifier_predictions_total", "class") <= set(LABELS)
    assert _values(exported, "fashion_classifier_feedback_images_total", "correct") <= {"true", "false"}


def test_what_the_metrics_count_is_what_was_answered(microservice: Microservice) -> None:
    def total(name: str) -> float:
        return sum(value for _, value in scraped(microservice)[name])

    before = total("fashion_classifier_predictions_total"), total("fashion_classifier_request_seconds_count")
    answer = microservice.post({"data": {"ndarray": IMAGES.tolist()}}).json()
    predicted = [LABELS[row.index(max(row))] for row in answer["data"]["ndarray"]]
    assert total("fashion_classifier_predictions_total") - before[0] == len(predicted)
    assert total("fashion_classifier_request_seconds_count") - before[1] == 1
    for metric in answer["meta"]["metrics"]:
        if metric["key"] == "fashion_classifier_predictions":
            assert metric["tags"]["class"] in predicted


def test_the_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place: dict[str, Any] = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells
        taken |= cells
    assert max(x for x, _ in taken) < 24


def test_what_is_answered_over_grpc_is_counted_too(microservice: Microservice) -> None:
    def images() -> float:
        return sum(value for _, value in scraped(microservice).get("fashion_classifier_images_total", []))

    before = images()
    call(microservice, *[("Predict", MESSAGES["tftensor"][0])] * 3)
    assert images() - before == 6
