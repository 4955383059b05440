"""`python -m demo.pipeline`: .gitlab-ci.yml by gitlab-ci-local, and where its time went (the target `make ci`).

The jobs get the clients' variables as they would from GitLab, in their environment: no secret is in an argument or in a
file of the pipeline's.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from types import FrameType

from rich.console import Console
from rich.table import Table

STATE = "build/pipeline"
COMMAND = ("build/gitlab-ci-local/node_modules/.bin/gitlab-ci-local", "--force-shell-executor", "--state-dir", STATE)

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FINISHED = re.compile(r"(?!pipeline )(?P<job>\S+) +finished in (?P<time>[^\n]*?)(?: (?P<mark>(?:FAIL|WARN) +\d+))? *$")
"""What gitlab-ci-local prints when a job has ended; it says the same of the pipeline."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the pipeline; the exit code is gitlab-ci-local's."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    started = time.monotonic()
    # gitlab-ci-local writes a job's errors to standard error, and the order of the two streams matters.
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        signal.signal(signal.SIGINT, _leave_to_the_jobs)
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    jobs = finished(lines)
    if jobs:
        _summarise(jobs, time.monotonic() - started)
    return process.returncode


def _leave_to_the_jobs(number: int, _: FrameType | None) -> None:
    """Ctrl-C has reached the jobs too; one that goes back to what was live is waited for.  A second one is heard."""
    signal.signal(number, signal.default_int_handler)


def finished(lines: Iterable[str]) -> list[tuple[str, str, str]]:
    """Name, time and outcome of every job that ended, in order."""
    found = (_FINISHED.match(_COLOUR.sub("", line).strip()) for line in lines)
    return [(each["job"], each["time"].strip(), each["mark"] or "passed") for each in found if each]


def _summarise(jobs: Sequence[tuple[str, str, str]], seconds: float) -> None:
    table = Table("job", "outcome", "time", title="make ci")
    for job, took, outcome in jobs:
        table.add_row(job, outcome, took)
    table.add_section()
    table.add_row("all", "", f"{seconds:.0f} s")
    Console(highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main())
