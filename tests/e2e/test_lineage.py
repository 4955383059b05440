"""`make lineage` on the cluster that the demo leaves running: from an answer back to the raw files, and forwards."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Checkout, predictions_url

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("chain")]

CHAIN = ["commit", "pipeline job", "commit", "experiment", "checkpoint", "model version", "image", "deployment"]


def lineage(clients: Checkout, *arguments: str) -> dict[str, Any]:
    clients.make("lineage", *arguments)
    document: dict[str, Any] = json.loads((clients.directory / "build" / "lineage.json").read_text())
    return document


def way(document: dict[str, Any], start: dict[str, Any]) -> list[str]:
    """The kinds of the stations from `start` back to the raw training data."""
    kinds: list[str] = []
    here: dict[str, Any] | None = start
    while here is not None:
        kinds.insert(0, here["kind"])
        sources = [edge["from"] for edge in document["edges"] if edge["to"] == here and "judged" not in edge["label"]]
        here = sources[0] if sources else None
    return kinds


def test_an_answer_leads_back_to_the_raw_files(clients: Checkout) -> None:
    payload = {"data": {"names": ["feature1"], "tensor": {"shape": [28, 28], "values": [0] * 784}}}
    answer = requests.post(predictions_url(clients), json=payload, timeout=30, proxies={"http": ""})
    (clients.directory / "build" / "answer.json").write_text(answer.text)
    document = lineage(clients, "ANSWER=build/answer.json")
    assert document["problems"] == {}
    assert way(document, document["asked"][0]) == [*CHAIN, "prediction"]
    unknown = [station["name"] for station in document["stations"] if station["state"] == "unknown"]
    assert unknown == []


def test_without_a_question_it_is_the_version_in_production(clients: Checkout) -> None:
    live = clients.run(
        "kubectl", "get", "sdep", "fashion-classifier", "-o", "jsonpath={.metadata.labels.model-version}"
    )
    assert lineage(clients)["asked"] == [
        {"kind": "model version", "name": f"fashion-classifier version {live.stdout.strip()}"}
    ]


def test_a_raw_commit_leads_to_the_deployment(clients: Checkout) -> None:
    used = lineage(clients)
    raw = next(each["name"] for each in used["stations"] if each["name"].startswith("fmnist-train-raw@"))
    made = lineage(clients, f"COMMIT={raw}")["made_from_asked"]
    assert "default/fashion-classifier/default" in made["deployment"]
    assert {"pipeline job", "commit", "experiment", "checkpoint", "model version", "image"} <= made.keys()
