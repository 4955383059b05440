"""Where a pipeline's time went, read from what gitlab-ci-local prints."""

from __future__ import annotations

from demo.pipeline import finished

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
