"""fmnist-drift: whether a batch of new images still looks like the validated test split.

A drifted batch is a finding, not a failure: the job succeeds and the report says so.  A batch that cannot be read fails
the job with the reason (`pipelines.batch` says what a batch is, `pipelines.two_sample` how it is compared).
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from pipelines import batch, drift_page, split, two_sample
from pipelines.batch import Batch
from pipelines.errors import InputRefused
from pipelines.files import write_json
from pipelines.pfs import Pfs, run
from pipelines.split import Split
from pipelines.two_sample import Test

NAME = "fmnist-drift"
REFERENCE, INCOMING = "fmnist-test", "fmnist-incoming"
DRIFT, NO_DRIFT, UNDECIDED = "drift", "no drift", "undecided"
FEWEST = 50
"""Fewer images than this show only the coarsest changes: finding nothing in them would mean nothing."""


def drift(pfs: Pfs) -> None:
    """Compare every batch of the datum and write its reports below its name.  Raises InputRefused."""
    reference = split.read(pfs.input(REFERENCE))
    entries = sorted(pfs.input(INCOMING).iterdir())
    batches, reasons = [], []
    for entry in entries:
        try:
            batches.append(batch.read(entry, len(reference.class_names)))
        except InputRefused as error:
            reasons.append(str(error))
    if reasons:
        raise InputRefused("; ".join(reasons))
    sources = {name: pfs.commit(name) for name in (REFERENCE, INCOMING)}
    for each in batches:
        tests = two_sample.compare(each.images, each.labels, reference.images, reference.labels)
        folder = pfs.out / each.name
        folder.mkdir()
        report = _report(each, reference, tests, sources) | {"code": pfs.variables.get("PIPELINES_VERSION")}
        write_json(folder / split.REPORT, report)
        drift_page.write(folder / "report.html", report, tests, each, reference)
        print(f"{NAME}: {report['summary']}")


def _report(each: Batch, reference: Split, tests: list[Test], sources: dict[str, str | None]) -> dict[str, Any]:
    found = [test.name for test in tests if test.drifted]
    verdict = DRIFT if found else NO_DRIFT if len(each.images) >= FEWEST else UNDECIDED
    words = {
        DRIFT: f"differs from the reference in {', '.join(found)}",
        NO_DRIFT: "looks like the reference",
        UNDECIDED: f"shows no difference, but fewer than {FEWEST} images prove little",
    }
    return {
        "format_version": 1,
        "pipeline": NAME,
        "verdict": verdict,
        "summary": f"Batch {each.name}, {len(each.images):,} images, {words[verdict]}.",
        "batch": each.name,
        "images": len(each.images),
        "labelled": each.labels is not None,
        "reference": {"repo": REFERENCE, "commit": sources[REFERENCE], "images": len(reference.images)},
        "source": {"repo": INCOMING, "commit": sources[INCOMING]},
        "alpha": two_sample.ALPHA,
        "tests": [asdict(test) | {"drifted": test.drifted} for test in tests],
    }


if __name__ == "__main__":
    sys.exit(run(NAME, drift))
