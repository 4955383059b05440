"""Load from h2load (Debian: nghttp2-client), which speaks HTTP/1.1, HTTP/2 and so gRPC, and logs every request.

One generator for all protocols, in C, so that it takes little of the cores that it shares with the servers; its log
gives exact percentiles.  What an answer holds is not its business: `process.check` looks at that before.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

JSON = ("-H", "Content-Type: application/json", "--h1")
GRPC = ("-H", "content-type: application/grpc", "-H", "te: trailers")
GRPC_PATH = "/seldon.protos.Seldon/Predict"
WARM_UP = 1
_COUNTED = 6


def tool() -> str:
    """The path of h2load.  SystemExit where it is missing."""
    found = shutil.which("h2load")
    if found is None:
        raise SystemExit("h2load makes the load; install it (Debian and Ubuntu: apt-get install nghttp2-client)")
    return found


def version() -> str:
    """What h2load calls itself."""
    return subprocess.run([tool(), "--version"], capture_output=True, text=True, check=True).stdout.strip()


def run(url: str, body: Path, connections: int, seconds: float, protocol: Sequence[str], log: Path) -> dict[str, Any]:
    """Requests a second, and the percentiles of their time in ms; SystemExit where one fails."""
    log.unlink(missing_ok=True)
    command = [tool(), f"-c{connections}", "-t1", "-m1", f"-D{seconds:g}", f"--warm-up-time={WARM_UP}", "-d", str(body)]
    done = subprocess.run(
        [*command, "--log-file", str(log), *protocol, url],
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        check=False,
    )
    refused = re.findall(r"(\d+) (failed|errored|timeout|3xx|4xx|5xx)", done.stdout)
    if done.returncode != 0 or len(refused) != _COUNTED or any(int(count) for count, _ in refused):
        raise SystemExit(f"h2load at {url}: {done.stdout}{done.stderr}")
    return summary(np.loadtxt(log, dtype=np.int64).reshape(-1, 3), seconds)


def summary(log: np.ndarray[Any, np.dtype[np.int64]], seconds: float) -> dict[str, Any]:
    """What the rows of h2load's log say: start in µs, status, duration in µs.

    A request that is open when the warm-up ends has the status 0: its beginning was not counted.
    """
    milliseconds = log[log[:, 1] == 200, 2] / 1000
    if not len(milliseconds):
        raise SystemExit(f"no request was answered in {seconds:g} s")
    p50, p99 = np.percentile(milliseconds, (50, 99))
    return {
        "requests": len(milliseconds),
        "per_second": round(len(milliseconds) / seconds, 1),
        "p50": round(float(p50), 3),
        "p99": round(float(p99), 3),
    }
