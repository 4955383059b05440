"""The forward pass alone: images a second of two processes at once (`bare.py MODEL BATCH SECONDS`)."""

import multiprocessing
import sys
import time

import numpy as np
from litert import Model


def run(path, batch, seconds, rates):
    model = Model(path)
    images = np.random.default_rng(1).integers(0, 256, (batch, 28, 28), np.uint8)
    model.probabilities(images)
    calls, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        model.probabilities(images)
        calls += 1
    rates.put(calls * batch / (time.perf_counter() - began))


if __name__ == "__main__":
    arguments = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    rates = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=run, args=(*arguments, rates)) for _ in range(2)]
    for worker in workers:
        worker.start()
    print(sum(rates.get(timeout=300) for _ in workers))
