"""How large the exported model is and how fast it answers, on the machine that runs the gate.

A shared machine is faster today and slower tomorrow: the numbers carry spread and machine, and decide nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmnist.hardware import hardware
from fmnist.test.serving import ServingModel

WARM_UP = 20
SINGLE_RUNS = 500
BATCH = 100
BATCH_RUNS = 20


@dataclass(frozen=True)
class Latency:
    """Milliseconds an image, one at a time on one thread, and images a second in batches on all cores.

    `batch_rate_quartiles` holds the first and the third; `load` is the load average (one minute) before.
    """

    bytes: int
    parameters: int
    single_runs: int
    single_median_ms: float
    single_p99_ms: float
    batch_size: int
    batch_runs: int
    batch_threads: int
    batch_rate_median: float
    batch_rate_quartiles: tuple[float, float]
    hardware: str
    load: float


def measure(model: ServingModel, images: npt.NDArray[np.uint8]) -> Latency:
    """Time the model on images of the test split, after a warm-up of each kind."""
    load, threads = os.getloadavg()[0], len(os.sched_getaffinity(0))
    single = _seconds(model.runner(threads=1), images, 1, SINGLE_RUNS)
    batches = BATCH / _seconds(model.runner(threads), images, BATCH, BATCH_RUNS)
    return Latency(
        bytes=len(model.content),
        parameters=int(model.metadata["model"]["parameters"]),
        single_runs=SINGLE_RUNS,
        single_median_ms=float(np.median(single) * 1000),
        single_p99_ms=float(np.quantile(single, 0.99) * 1000),
        batch_size=BATCH,
        batch_runs=BATCH_RUNS,
        batch_threads=threads,
        batch_rate_median=float(np.median(batches)),
        batch_rate_quartiles=(float(np.quantile(batches, 0.25)), float(np.quantile(batches, 0.75))),
        hardware=hardware(),
        load=load,
    )


def _seconds(
    run: Callable[[npt.NDArray[np.uint8]], object], images: npt.NDArray[np.uint8], size: int, runs: int
) -> npt.NDArray[np.float64]:
    """Seconds of each of `runs` calls with `size` images, which start over where there are too few."""
    taken = []
    for number in range(WARM_UP + runs):
        part = images.take(range(number * size, (number + 1) * size), axis=0, mode="wrap")
        started = time.perf_counter()
        run(part)
        taken.append(time.perf_counter() - started)
    return np.array(taken[WARM_UP:])
