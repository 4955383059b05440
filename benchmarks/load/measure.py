"""How long users wait under load: `python -m benchmarks.load.measure`, against what `make deploy` has deployed.

Locust asks through the ingress, from an environment of its own (requirements/peers/locust.txt); it runs on the same
machine and takes a part of its cores.  Its own page goes to build/load/report.html, the numbers to this folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from benchmarks.load import report
from deploy.release import ingress, kubectl
from fmnist.hardware import hardware

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
ENVIRONMENT = Path("build/peers/locust")
OUTPUT = REPOSITORY / "build" / "load"
COLUMNS = {"p50": "50%", "p95": "95%", "p99": "99%", "largest": "100%"}

Values = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Run Locust and write the page; the exit status is 1 where an answer was not the right one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.measure", description=__doc__)
    parser.add_argument("--users", type=int, default=64, help="requests in progress at once (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=120, help="default: %(default)s")
    parser.add_argument("--results", type=Path, default=HERE, help="folder for results.json and the page")
    arguments = parser.parse_args(argv)
    results = {
        "hardware": hardware(),
        "load_before": round(os.getloadavg()[0], 2),
        "users": arguments.users,
        "seconds": arguments.seconds,
        **serving(),
    }
    locust(ingress.base_url(), arguments.users, arguments.seconds)
    results |= {"requests": totals(OUTPUT / "run_stats.csv"), "history": history(OUTPUT / "run_stats_history.csv")}
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    report.write(arguments.results)
    show(results)
    return int(any(row["failures"] for row in results["requests"].values()))


def serving() -> Values:
    """What answers: version, replicas, and the workers and threads of each."""
    live = kubectl.get("sdep", "fashion-classifier")
    container = live["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]
    environment = {each["name"]: each.get("value") for each in container.get("env", [])}
    return {
        "model_version": live["metadata"]["labels"]["model-version"],
        "replicas": live["status"]["replicas"],
        "workers": int(environment["GUNICORN_WORKERS"]),
        "threads": int(environment["GUNICORN_THREADS"]),
    }


def locust(url: str, users: int, seconds: int) -> None:
    """Ask as locustfile.py says; what was asked before all users are there does not count."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    subprocess.run(["requirements/install.sh", ENVIRONMENT, "peers/locust.txt"], cwd=REPOSITORY, check=True)
    parts = urlsplit(url)
    command = [
        *(ENVIRONMENT / "bin" / "locust", "--locustfile", HERE / "locustfile.py", "--headless", "--only-summary"),
        *("--host", f"{parts.scheme}://{parts.netloc}", "--users", users, "--spawn-rate", users),
        *("--run-time", f"{seconds}s", "--reset-stats", "--exit-code-on-error", 0, "--loglevel", "WARNING"),
        *("--csv", OUTPUT / "run", "--html", OUTPUT / "report.html"),
    ]
    environment = {**os.environ, "PREFIX": parts.path.removesuffix("/api/v1.0")}
    subprocess.run([str(each) for each in command], cwd=REPOSITORY, env=environment, check=True)


def totals(table: Path) -> dict[str, Values]:
    """Requests, failures, answers a second and waiting times in ms by kind of request; "all" are all of them."""
    found = {}
    with table.open(newline="") as lines:
        for row in csv.DictReader(lines):
            found["all" if row["Name"] == "Aggregated" else row["Name"]] = {
                "requests": int(row["Request Count"]),
                "failures": int(row["Failure Count"]),
                "per_second": round(float(row["Requests/s"]), 1),
                **{name: float(row[column]) for name, column in COLUMNS.items()},
            }
    return found


def history(table: Path) -> list[list[float]]:
    """Seconds from the start, answers a second, and the 50th, 95th and 99th percentile in ms, of all requests."""
    with table.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["Name"] == "Aggregated" and row["95%"] != "N/A"]
    start = int(rows[0]["Timestamp"])
    return [
        [int(row["Timestamp"]) - start, *(round(float(row[c]), 1) for c in ("Requests/s", "50%", "95%", "99%"))]
        for row in rows
    ]


def show(results: Values) -> None:
    """The table of the page, in the terminal."""
    table = Table("requests", *report.COLUMNS)
    for name, row in results["requests"].items():
        table.add_row(name, *report.cells(row))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"page: {OUTPUT / 'report.html'}")


if __name__ == "__main__":
    sys.exit(main())
