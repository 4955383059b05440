"""`python -m demo`: run the stages one after the other on the local cluster and say how long each took.

Each stage is a make target, run exactly as a person would run it; this program only numbers, times and stops.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.table import Table

LOCK = Path("build/demo.lock")


@dataclass(frozen=True)
class Stage:
    """One make target and what it is there for; `failed` says where to look when it fails."""

    target: str
    title: str
    failed: str


STAGES = (
    Stage("up", "local cluster: Pachyderm, Determined, Kubernetes, Istio ingress", "make logs"),
    Stage(
        "data",
        "Fashion-MNIST into Pachyderm, validated by its pipelines",
        "pachctl list job; make logs SERVICE=pachyderm",
    ),
    Stage("train", "train on Determined", "det experiment list; det experiment logs <id>"),
    Stage("register", "register the model version", "det model list-versions fashion-classifier"),
    Stage("gate", "accuracy gate", "build/report/report.md"),
    Stage("image", "OCI image of the version", "build/image.json; make logs SERVICE=determined"),
    Stage(
        "deploy",
        "deploy as a SeldonDeployment",
        "kubectl describe sdep fashion-classifier; kubectl logs -l seldon-deployment-id=fashion-classifier",
    ),
    Stage("predict", "predict test images through the ingress", "make logs SERVICE=ingress"),
)


def main(argv: list[str] | None = None) -> int:
    """Run all stages; the exit code is that of the first stage that failed."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--train", choices=("new", "reuse"), default="new", help="reuse: the newest registered version")
    arguments = parser.parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    held = _only_one()
    if held is None:
        print(f"demo: another `make demo` runs in this checkout ({LOCK}); wait for it or stop it", file=sys.stderr)
        return 1
    with held:
        try:
            return _run_all(console, arguments.train)
        except KeyboardInterrupt:
            print("demo: stopped; what was done stays, and `make demo` goes on from it", file=sys.stderr)
            return 130


def _only_one() -> IO[str] | None:
    """The lock of this checkout's build directory, which all stages write to."""
    LOCK.parent.mkdir(exist_ok=True)
    stream = LOCK.open("a+")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    return stream


def _run_all(console: Console, train: str) -> int:
    environment = os.environ | {"TRAIN": train}
    times: list[tuple[Stage, float]] = []
    for number, stage in enumerate(STAGES, 1):
        console.print(f"[bold]{number}/{len(STAGES)}  {stage.title}[/bold]  (make {stage.target})")
        started = time.monotonic()
        code = subprocess.run(["make", "--no-print-directory", stage.target], env=environment, check=False).returncode
        took = time.monotonic() - started
        if code != 0:
            console.print(
                f"{number}/{len(STAGES)}  make {stage.target} failed after {took:.1f} s. Look at: {stage.failed}"
            )
            return code
        console.print(f"{number}/{len(STAGES)}  done in {took:.1f} s\n")
        times.append((stage, took))
    _summarise(console, times)
    return 0


def _summarise(console: Console, times: list[tuple[Stage, float]]) -> None:
    table = Table("stage", "seconds", title="make demo")
    for stage, took in times:
        table.add_row(stage.title, f"{took:.1f}")
    table.add_section()
    table.add_row("all", f"{sum(took for _, took in times):.1f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
