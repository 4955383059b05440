"""Labelled images to the versions under judgement: through the ingress, and to each version's own pods.

Answers from the ingress are attributed by `meta.tags.model_version`.  A shadow's answers never come back: what it got
is read from its own counters.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.fashion_classifier.metrics import IMAGES, INFERENCE, REFUSALS
from deploy.release import ingress
from deploy.release.errors import PredictError
from deploy.release.pods import Pods
from deploy.release.predict import answers, message

Images = npt.NDArray[np.uint8]
"""[n, 28, 28]."""

_EXPORTED = (f"{IMAGES}_total", f"{INFERENCE}_count", f"{INFERENCE}_sum")
_REFUSED = f"{REFUSALS}_total"
"""The wrapper's own metrics, as Prometheus reads counters and a histogram."""

_STATUS = re.compile(r'[{,]status="([^"]*)"')

FAILED = -1
CONNECTIONS = 4
"""At once through the ingress: enough that several workers and replicas take part, few enough not to measure queues."""


@dataclass(frozen=True)
class Answer:
    """The answer to one image: who gave it, the class (FAILED: none, and why), and how long it took."""

    version: str | None
    label: int
    seconds: float
    problem: str = ""


@dataclass(frozen=True)
class Counters:
    """What a predictor's pods have counted: images classified, requests answered, seconds spent in the model.

    `refusals` are the requests without a prediction, by HTTP status or gRPC's: 5xx and INTERNAL, for example, where the
    version itself failed.
    """

    images: float
    requests: float
    seconds: float
    refusals: Mapping[str, float] = field(default_factory=dict)

    @property
    def received(self) -> float:
        """Requests, whatever became of them."""
        return self.requests + sum(self.refusals.values())

    def since(self, before: Counters) -> Counters:
        """What was added after `before`."""
        refusals = {status: count - before.refusals.get(status, 0) for status, count in self.refusals.items()}
        return Counters(
            self.images - before.images, self.requests - before.requests, self.seconds - before.seconds, refusals
        )


def through_ingress(base: str, images: Images) -> list[Answer]:
    """One request an image, a few at a time, in the order of the images."""

    def ask(part: Images) -> list[Answer]:
        with ingress.session() as connections:
            return [
                _timed(lambda image=image: ingress.predict(base, message(image), 30, connections)) for image in part
            ]

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        parts = list(pool.map(ask, [images[start::CONNECTIONS] for start in range(CONNECTIONS)]))
    ordered: list[Answer] = [Answer(None, FAILED, 0)] * len(images)
    for start, part in enumerate(parts):
        ordered[start::CONNECTIONS] = part
    return ordered


def direct(pods: Pods, predictors: Sequence[str], images: Images) -> dict[str, list[Answer]]:
    """Every image to each predictor, one at a time and in turns, so that all of them meet the same conditions.

    Raises DeployError where a predictor has no ready pod.
    """
    turns = {name: cycle(pods.of(name)) for name in predictors}
    given: dict[str, list[Answer]] = {name: [] for name in predictors}
    for index, image in enumerate(images):
        order = predictors if index % 2 else list(reversed(predictors))
        for name in order:
            pod = next(turns[name])
            given[name].append(_timed(lambda pod=pod, image=image: _ask(pods, pod, image)))
    return given


def counted(pods: Pods, predictor: str) -> Counters:
    """The counters of the predictor's pods since they started.  Raises ReleaseError."""
    totals = dict.fromkeys(_EXPORTED, 0.0)
    refusals: Counter[str] = Counter()
    for pod in pods.of(predictor):
        code, text = pods.ask(pod, "metrics", "prometheus")
        if code != 200:
            raise PredictError(f"the metrics of pod {pod['metadata']['name']} answer {code}: {_short(text)}")
        for line in text.decode(errors="replace").splitlines():
            name = line.partition("{")[0].partition(" ")[0]
            if name in totals:
                totals[name] += float(line.rsplit(maxsplit=1)[1])
            elif name == _REFUSED and (status := _STATUS.search(line)):
                refusals[status[1]] += int(float(line.rsplit(maxsplit=1)[1]))
    images, requests, seconds = (totals[name] for name in _EXPORTED)
    return Counters(images, requests, seconds, refusals)


def _ask(pods: Pods, pod: dict[str, Any], image: Images) -> Any:
    status, text = pods.ask(pod, "http", "api/v1.0/predictions", json.dumps(message(image)).encode())
    if status != 200:
        raise PredictError(f"pod {pod['metadata']['name']} answered {status}: {_short(text)}")
    try:
        return json.loads(text)
    except ValueError as error:
        raise PredictError(f"pod {pod['metadata']['name']} answered no JSON: {error}") from error


def _timed(ask: Any) -> Answer:
    started = time.perf_counter()
    try:
        response = ask()
        seconds = time.perf_counter() - started
        _, probabilities = answers(response, 1)
    except PredictError as error:
        return Answer(None, FAILED, time.perf_counter() - started, str(error))
    version = response.get("meta", {}).get("tags", {}).get("model_version")
    return Answer(version, int(probabilities[0].argmax()), seconds)


def _short(text: bytes) -> str:
    return text.decode(errors="replace").strip()[:300]
