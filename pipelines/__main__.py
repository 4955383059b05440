"""`python -m pipelines`: make the pachd that PACH_CONFIG names run these pipelines, and wait for their jobs."""

from __future__ import annotations

import argparse
import os
import sys
import time

from rich.console import Console

from data.errors import IngestError
from data.ingest import connect
from pipelines import specs
from pipelines.deploy import UNCHANGED, deploy
from pipelines.errors import DeployError
from pipelines.jobs import Outcome, await_head


def main(argv: list[str] | None = None) -> int:
    """The exit code is 1 where a spec was refused, or a job failed or did not end in time."""
    loaded = {spec.name: spec for spec in specs.load(None)}
    arguments = _parser(list(loaded)).parse_args(argv)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    try:
        client = connect()
        for name, action in deploy(client, specs.load(arguments.image)).items():
            if action != UNCHANGED:
                console.print(f"pipeline {name}: {action}")
        deadline = time.monotonic() + arguments.timeout
        failed = 0
        with console.status("pipelines") as status:
            for name in arguments.wait:
                outcome = await_head(client, name, deadline, status.update)
                console.print(_line(outcome))
                failed += not outcome.good
    except (DeployError, IngestError) as error:
        print(f"pipelines: {error}", file=sys.stderr)
        return 1
    return 1 if failed else 0


def _line(outcome: Outcome) -> str:
    return f"{outcome.pipeline}@master = {outcome.commit}  {outcome.words}"


def _parser(names: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description=__doc__)
    parser.add_argument(
        "--image",
        default=os.environ.get("PIPELINES_IMAGE") or None,
        help="the image that workers on a cluster run (pipelines/Dockerfile); default: PIPELINES_IMAGE",
    )
    parser.add_argument(
        "--wait", nargs="*", default=names, choices=names, metavar="PIPELINE", help="wait for these only; default: all"
    )
    parser.add_argument("--timeout", type=float, default=900, help="seconds to wait; default: %(default)g")
    return parser


if __name__ == "__main__":
    sys.exit(main())
