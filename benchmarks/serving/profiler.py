"""Where the wrapper's workers spend their time under load: py-spy's samples, by the package that runs."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from benchmarks.serving import load
from benchmarks.serving.process import Running
from benchmarks.serving.servers import ENVIRONMENTS

CONNECTIONS = 32
PARTS = {
    "forward pass": r"forward \(.*model\.py|probabilities \(.*model\.py",
    "outliers": r"outliers\.py",
    "metrics": r"counters\.py|seldon_core/metrics\.py|handle_raw_custom_metrics",
    "reading JSON": r"decode \(.*body\.py",
    "writing JSON": r"encode \(.*body\.py",
    # The worker's loop is below everything.
    "wrapper: checks, meta, hooks": r"fashion_classifier/(?!worker\.py)|FashionClassifier\.py",
    "Flask, Werkzeug, Seldon": r"flask|werkzeug|seldon_core",
    "gunicorn: sockets, HTTP, threads": r"gunicorn|worker\.py|threading|concurrent/futures|selectors|socket",
}
"""The first pattern that meets a frame of the stack decides."""


def record(running: Running, body: Path, seconds: float, log: Path) -> dict[str, float]:
    """Share of the samples of both workers in each part, under `many`."""
    workers = [each.pid for each in running.process.children() if _listens(each, running.ports.http)]
    with ThreadPoolExecutor(len(workers) + 1) as pool:
        loading = pool.submit(load.run, running.url, body, CONNECTIONS, seconds + 4, load.JSON, log)
        samples = sum(pool.map(lambda pid: _stacks(pid, seconds), workers), Counter[str]())
        loading.result()
    parts: Counter[str] = Counter()
    for stack, count in samples.items():
        parts[part(stack)] += count
    return {name: round(count / parts.total(), 4) for name, count in parts.most_common()}


def part(stack: str) -> str:
    """The part of PARTS that a stack belongs to."""
    return next((name for name, pattern in PARTS.items() if re.search(pattern, stack)), "other")


def _listens(process: psutil.Process, port: int) -> bool:
    return any(each.laddr.port == port for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN)


def _stacks(pid: int, seconds: float) -> Counter[str]:
    """Samples by stack, of the threads that run or hold a core in native code."""
    spy = str(ENVIRONMENTS / "profiler" / "bin" / "py-spy")
    command = [spy, "record", "--pid", str(pid), "--duration", f"{max(1, round(seconds))}", "--rate", "200"]
    done = subprocess.run(
        [*command, "--format", "raw", "--full-filenames", "--output", "/dev/stdout"],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    )
    rows = [line.rsplit(" ", 1) for line in done.stdout.splitlines() if re.search(r" \d+$", line)]
    return Counter({stack: int(count) for stack, count in rows})
