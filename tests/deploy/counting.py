"""Programs for the serving environment: what Seldon's metrics and ours make of the same calls (`counting.py NAME`)."""

from __future__ import annotations

import copy
import multiprocessing
import os
import random
import signal
import sys
import threading
from typing import Any

from seldon_core.metrics import SeldonMetrics

from deploy.fashion_classifier import counters

PROCESSES, THREADS, CALLS = 3, 4, 500
_SECONDS = [0, 0.001, 0.5, 1, 1.0, 30_000, 30_001, -1, float("inf")]


def same() -> None:
    """The page is Seldon's, byte by byte, for every kind of metric, tag and value."""
    generator = random.Random(7)
    ours, stock = counters.MappedMetrics(extra_default_labels={"extra": "1"}), SeldonMetrics(os.getpid, {"extra": "1"})

    def metrics() -> list[dict[str, Any]]:
        tags = {"class": generator.choice(["Bag", 'T-shirt/"top"', "ä_b-c"])}
        return [
            {"type": "COUNTER", "key": "images", "value": generator.randint(0, 9)},
            {"key": "without_a_type", "value": generator.random(), "tags": dict(tags)},
            {"type": "TIMER", "key": "seconds", "value": generator.choice([*_SECONDS, 1e4 * generator.random()])},
            {"type": "TIMER", "key": "never_in_a_bin", "value": -1},
            {"type": "GAUGE", "key": "level", "value": generator.uniform(-1, 1), "tags": dict(tags)},
            {"type": "OTHER", "key": "unknown", "value": 1},
        ]

    for number in range(100):
        for_ours = metrics()
        for_stock = copy.deepcopy(for_ours)
        method = "predict" if number % 3 else "feedback"
        ours.update(for_ours, method)
        stock.update(for_stock, method)
        assert for_ours == for_stock
    for reward in (0.5, 0.0, -2.0):
        ours.update_reward(reward)
        counters.count_reward(reward)
        stock.update_reward(reward)
    page, kind = ours.generate_metrics()
    assert (page, kind) == stock.generate_metrics()
    assert 'level{class="ä_b-c"' in page


def whole() -> None:
    """No count is lost with many threads in many processes, scraped meanwhile, some of them killed."""
    metrics = counters.MappedMetrics()
    here, there = multiprocessing.Pipe(duplex=False)
    workers = [multiprocessing.Process(target=_count, args=(metrics, there)) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    seen = 0.0
    for _ in workers:
        while not here.poll():
            now = _total(metrics)
            assert now >= seen
            seen = now
        os.kill(here.recv(), signal.SIGKILL)
    for worker in workers:
        worker.join(60)
    assert _total(metrics) == PROCESSES * THREADS * CALLS
    assert {each for _, each, _ in _samples(metrics, "each_seconds_count")} == {float(THREADS * CALLS)}
    assert len(_samples(metrics, "each_seconds_count")) == PROCESSES


def _count(metrics: counters.MappedMetrics, done: Any) -> None:
    def calls() -> None:
        for number in range(CALLS):
            metrics.update(
                [
                    {"type": "COUNTER", "key": "all", "value": 1, "tags": {"class": str(number % 50)}},
                    {"type": "TIMER", "key": "each_seconds", "value": number},
                ],
                "predict",
            )

    threads = [threading.Thread(target=calls) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics.clear()
    done.send(os.getpid())
    signal.pause()


def _samples(metrics: counters.MappedMetrics, name: str) -> list[tuple[str, float, dict[str, str]]]:
    return [
        (sample.name, sample.value, sample.labels)
        for family in metrics.collect()
        for sample in family.samples
        if sample.name == name
    ]


def _total(metrics: counters.MappedMetrics) -> float:
    return sum(value for _, value, _ in _samples(metrics, "all_total"))


if __name__ == "__main__":
    {"same": same, "whole": whole}[sys.argv[1]]()
