"""Where a pipeline's time went, read from what gitlab-ci-local prints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from demo.pipeline import finished
from tests.e2e.conftest import REPOSITORY

PRINTED = """\
data         > fmnist-test@master = 5c1e  400 images, validated
\x1b[94mdata        \x1b[39m \x1b[95mfinished\x1b[39m in \x1b[35m3.2 s\x1b[39m
scan         finished in 1.5 min  WARN 1
build-image  > finished in time
accuracy     finished in 12 s  FAIL 2
pipeline finished in 3.3 min
"""


def test_every_job_that_ended_is_told_with_its_outcome() -> None:
    assert finished(PRINTED.splitlines()) == [
        ("data", "3.2 s", "passed"),
        ("scan", "1.5 min", "WARN 1"),
        ("accuracy", "12 s", "FAIL 2"),
    ]


STOPPED = """
import sys
from demo import pipeline
jobs = "trap 'echo what was live is back; exit 5' INT; echo canary is at work; while true; do sleep 0.1; done"
pipeline.COMMAND = ("sh", "-c", jobs)
sys.exit(pipeline.main([]))
"""


def test_an_interrupt_is_left_to_the_jobs_whose_last_words_are_read() -> None:
    """A terminal's Ctrl-C reaches the whole process group, and a phase that is stopped goes back first."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "canary is at work\n"
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    assert (printed, process.returncode) == ("what was live is back\n", 5)
