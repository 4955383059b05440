"""What is read from a version's own metrics."""

from __future__ import annotations

from typing import Any, cast

import pytest

from deploy.release.errors import PredictError
from deploy.release.pods import Pods
from deploy.release.traffic import Counters, counted

PAGE = """# HELP fashion_classifier_images_total
fashion_classifier_images_total{model_name="a",worker_id="1"} 3.0
fashion_classifier_inference_seconds_bucket{model_name="a",le="0.005"} 2.0
fashion_classifier_inference_seconds_count{model_name="a"} 2.0
fashion_classifier_inference_seconds_sum{model_name="a"} 0.5
fashion_classifier_refusals_total{http_status="1",status="400",worker_id="1"} 4.0
fashion_classifier_refusals_total{status="500"} 1.0
"""


class TwoPods:
    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)

    def of(self, predictor: str) -> list[dict[str, Any]]:
        return [{"metadata": {"name": f"{predictor}-{index}"}} for index in range(2)]

    def ask(self, pod: dict[str, Any], port: str, path: str) -> tuple[int, bytes]:
        assert (port, path) == ("metrics", "prometheus")
        return self.answers.pop(0)


def test_the_counters_of_all_pods_are_added() -> None:
    pods = cast(Pods, TwoPods((200, PAGE.encode()), (200, PAGE.encode())))
    found = counted(pods, "candidate")
    assert found == Counters(6, 4, 1, {"400": 8, "500": 2})
    assert found.received == 14
    assert found.since(Counters(1, 1, 0.5, {"400": 7})) == Counters(5, 3, 0.5, {"400": 1, "500": 2})


def test_metrics_that_cannot_be_read_are_told() -> None:
    pods = cast(Pods, TwoPods((503, b"starting")))
    with pytest.raises(PredictError, match="the metrics of pod candidate-0 answer 503: starting"):
        counted(pods, "candidate")
