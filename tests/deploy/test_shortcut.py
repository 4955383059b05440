"""The shortcut around Flask: whatever is asked, the answer is Flask's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.deploy.microservice import Microservice

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("microservice")]

IMAGES = np.random.default_rng(29).integers(0, 256, (3, 28, 28), dtype=np.uint8)
TENSOR = {"data": {"tensor": {"shape": [3, 28, 28], "values": IMAGES.ravel().tolist()}}}
NDARRAY = {"data": {"ndarray": IMAGES[0].tolist()}}
SHORT, LONG = "application/json", "application/json; charset=utf-8"
"""The second goes through Flask."""
OWN = ("Date", "Connection", "Server")
FAILING = """
_right = FashionClassifier.probabilities
FashionClassifier.probabilities = lambda self, images: 1 / 0 if images.any() else _right(self, images)
"""
"""Ready, since health is asked of an empty image."""


def ask(microservice: Microservice, kind: str, path: str, content: bytes, headers: dict[str, str]) -> Any:
    answer = requests.post(microservice.url + path, data=content, headers={"Content-Type": kind, **headers}, timeout=30)
    kept = {name: value for name, value in answer.headers.items() if name not in (*OWN, "Content-Length")}
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    message = answer.json()
    puid = message.get("meta", {}).get("puid")
    assert puid is None or kept["Seldon-Puid"] == puid
    if kept["Seldon-Puid"] not in ("mine", "theirs"):
        kept.pop("Seldon-Puid")
        message.get("meta", {}).pop("puid", None)
    for metric in message.get("meta", {}).get("metrics", []):
        if metric["type"] == "TIMER":
            metric["value"] = 0
    return answer.status_code, kept, message


@pytest.mark.parametrize("path", ["/api/v1.0/predictions", "/api/v0.1/predictions", "/api/v1.0/predictions?x=1"])
@pytest.mark.parametrize(
    "content",
    [
        json.dumps(TENSOR).encode(),
        json.dumps(NDARRAY).encode(),
        json.dumps({**NDARRAY, "meta": {"puid": "theirs", "tags": {"user": "x"}, "requestPath": {"a": "b"}}}).encode(),
        json.dumps({**NDARRAY, "meta": None}).encode(),
        json.dumps({**NDARRAY, "meta": 3}).encode(),
        json.dumps({**NDARRAY, "meta": {"puid": "\n"}}).encode(),
        json.dumps({"data": {"ndarray": [[256.5]]}}).encode(),
        b"[1, 2]",
        b"null",
        b"{",
        b"",
        b"\xff",
        b"[" * 2000,
    ],
    ids=[
        "tensor",
        "ndarray",
        "meta",
        "null meta",
        "wrong meta",
        "wrong puid",
        "wrong",
        "list",
        "null",
        "torn",
        "empty",
        "binary",
        "deep",
    ],
)
@pytest.mark.parametrize(
    "headers",
    [{}, {"Seldon-Puid": "mine"}, {"Seldon-Puid": "x" * 300}, {"Origin": "http://a.b"}],
    ids=["no header", "puid", "long puid", "origin"],
)
def test_the_answer_is_flasks(microservice: Microservice, path: str, content: bytes, headers: dict[str, str]) -> None:
    assert ask(microservice, SHORT, path, content, headers) == ask(microservice, LONG, path, content, headers)


def test_both_ways_are_counted_alike(microservice: Microservice) -> None:
    def counted() -> dict[str, float]:
        page = requests.get(microservice.metrics_url, timeout=30).text
        totals: dict[str, float] = {}
        for line in page.splitlines():
            if line.startswith("fashion_classifier_images_total"):
                name = ",".join(part for part in line.split(" ")[0].split(",") if "worker_id" not in part)
                totals[name] = totals.get(name, 0) + float(line.split(" ")[1])
        return totals

    counts = []
    for kind in (SHORT, LONG):
        before = counted()
        ask(microservice, kind, "/api/v1.0/predictions", json.dumps(TENSOR).encode(), {})
        counts.append({name: value - before.get(name, 0) for name, value in counted().items()})
    assert counts[0] == counts[1]
    assert sorted(value for value in counts[0].values() if value) == [3]


def test_a_model_that_fails_is_answered_and_counted_by_flask(registered_rootfs: Path) -> None:
    with (registered_rootfs / "app" / "FashionClassifier.py").open("a") as wrapper:
        wrapper.write(FAILING)
    running = Microservice(registered_rootfs, workers=1, threads=2)
    running.start()
    try:
        first, second = (
            ask(running, kind, "/api/v1.0/predictions", json.dumps(TENSOR).encode(), {}) for kind in (SHORT, LONG)
        )
        assert first == second
        assert (first[0], first[2]["status"]["reason"]) == (500, "MICROSERVICE_INTERNAL_ERROR")
        page = requests.get(running.metrics_url, timeout=30).text
        counted = re.findall(r'^fashion_classifier_refusals_total\{.*status="500".*\} (\S+)$', page, re.MULTILINE)
        assert sum(map(float, counted)) == 2
    finally:
        running.stop()
