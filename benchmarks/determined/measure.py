"""How long users of the local Determined master wait: `python -m benchmarks.determined.measure`.

Everything goes through the genuine client and harness against a master of its own in a temporary home.  Results go to
results.json beside this file, README.md and waiting.png are made from it.

start     from `create` to the first line of the entrypoint, beside the time that the same Python modules need to be
          imported, in the same order and number of processes, without any master
metrics   reports a minute that two trials at once get acknowledged (`core_context.train.report_metrics`)
lines     log lines a minute of one trial, from its first line until the last one has been read by a follower
follow    delay between the writing of a line and its arrival at a follower
list      listing 1,000 experiments (`GET /api/v1/experiments`) in one page and in the CLI's pages of 200, and how the
          time grows with their number
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.determined import report
from benchmarks.determined.cluster import Cluster
from determined.common.api import bindings
from fmnist.hardware import hardware

HERE = Path(__file__).resolve().parent
REPEATS = 7
REPORTS = 3000
LINES = 50_000
FOLLOWED = 200
EXPERIMENTS = 1000


def main() -> int:
    """Measure everything and write the results and the page."""
    measurements: list[tuple[str, Callable[[Cluster], dict[str, Any]]]] = [
        ("start", start),
        ("metrics", metrics),
        ("lines", lines),
        ("follow", follow),
        ("list", listing),
    ]
    results: dict[str, Any] = {
        "hardware": hardware(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }
    for name, measure in measurements:
        with tempfile.TemporaryDirectory(prefix="determined-") as home, Cluster(Path(home), slots=2) as cluster:
            results[name] = measure(cluster)
        print(name, json.dumps(results[name]), flush=True)
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    report.write(HERE)
    return 0


def start(cluster: Cluster) -> dict[str, Any]:
    """Seconds from create to the entrypoint's first line, interleaved with the bare imports."""
    whole, imports = [], []
    for _ in range(REPEATS):
        imports.append(bare_imports())
        began = time.time()
        experiment = cluster.create("python first_line.py")
        cluster.wait(experiment)
        whole.append(_stamps(cluster, experiment, "began")[0] - began)
    overhead = [a - b for a, b in zip(whole, imports, strict=True)]
    return {"seconds": spread(whole), "imports": spread(imports), "overhead": spread(overhead)}


def bare_imports() -> float:
    """Seconds that Python needs for what runs before the entrypoint: the agent, the preparation, the launcher."""
    started = time.perf_counter()
    for module in ("localcluster.determined.agent.layout", "determined.exec.prep_container", "determined.exec.launch"):
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    subprocess.run([sys.executable, "-c", ""], check=True)
    return time.perf_counter() - started


def metrics(cluster: Cluster) -> dict[str, Any]:
    """Acknowledged metric reports a minute of two trials that run at once."""
    rates = []
    for _ in range(5):
        experiments = [cluster.create("python report_metrics.py", count=REPORTS) for _ in range(2)]
        cluster.wait(*experiments)
        spans = [_stamps(cluster, experiment, "reported") for experiment in experiments]
        together = max(end for _, end in spans) - min(begin for begin, _ in spans)
        rates.append(2 * REPORTS / together * 60)
    return {"reports_per_minute": spread(rates)}


def lines(cluster: Cluster) -> dict[str, Any]:
    """Log lines a minute, followed to the end."""
    rates = []
    for _ in range(5):
        experiment = cluster.create("python write_lines.py", count=LINES, pause=0)
        stamps = [(sent, arrived) for sent, arrived in _followed(cluster, experiment)]
        if len(stamps) != LINES:
            raise SystemExit(f"{len(stamps)} of {LINES} lines arrived")
        rates.append(LINES / (stamps[-1][1] - stamps[0][0]) * 60)
        cluster.wait(experiment)
    return {"lines_per_minute": spread(rates)}


def follow(cluster: Cluster) -> dict[str, Any]:
    """Milliseconds between a line's writing and its arrival."""
    experiment = cluster.create("python write_lines.py", count=FOLLOWED, pause=0.02)
    delays = sorted((arrived - sent) * 1000 for sent, arrived in _followed(cluster, experiment))
    cluster.wait(experiment)
    return {
        "milliseconds": spread(delays),
        "p99": round(delays[int(0.99 * len(delays))], 2),
        "delays": [round(delay, 2) for delay in delays],
    }


def listing(cluster: Cluster) -> dict[str, Any]:
    """Seconds to list experiments, for a growing number of them."""
    growth: list[tuple[int, float]] = []
    for count in range(1, EXPERIMENTS + 1):
        cluster.create("true", activate=False, width=32, depth=1, learning_rate=0.01)
        if count % (EXPERIMENTS // 10) == 0:
            whole = [_listed(cluster, count, page=count) for _ in range(REPEATS)]
            growth.append((count, round(statistics.median(whole), 4)))
    paged = [_listed(cluster, EXPERIMENTS, page=200) for _ in range(REPEATS)]
    return {"one_page_seconds": spread(whole), "pages_of_200_seconds": spread(paged), "growth": growth}


def _listed(cluster: Cluster, count: int, page: int) -> float:
    """Seconds to list `count` experiments in pages of `page`."""
    began = time.perf_counter()
    found = 0
    for offset in range(0, count, page):
        found += len(bindings.get_GetExperiments(cluster.session, limit=page, offset=offset).experiments)
    if found != count:
        raise SystemExit(f"{found} of {count} experiments were listed")
    return time.perf_counter() - began


def _followed(cluster: Cluster, experiment: int) -> list[tuple[float, float]]:
    """When each line was written and when it arrived at a follower."""
    found = []
    for line in bindings.get_TrialLogs(cluster.session, trialId=cluster.trial(experiment), follow=True):
        if stamp := re.search(r"line \d+ at ([0-9.]+) of", line.message):
            found.append((float(stamp[1]), time.time()))
    return found


def _stamps(cluster: Cluster, experiment: int, word: str) -> list[float]:
    found = re.search(rf"{word} ([0-9. ]+)", cluster.logs(cluster.trial(experiment)))
    if found is None:
        raise SystemExit(f"experiment {experiment} never said {word!r}")
    return [float(text) for text in found[1].split()]


def spread(values: Sequence[float]) -> dict[str, float | int]:
    """n, median, and the smallest and the largest value."""
    rounded = [round(value, 4) for value in values]
    return {"n": len(values), "median": round(statistics.median(values), 4), "min": min(rounded), "max": max(rounded)}


if __name__ == "__main__":
    sys.exit(main())
