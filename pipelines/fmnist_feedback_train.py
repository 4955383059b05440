"""fmnist-feedback-train: what people said about predictions, as a split that training can add to its own.

The output is a validated split.  Its verdict is "passed" where it holds at least one image; where no line was usable
it is "empty", with a report that names every line, and readers, who take "passed" only, refuse it by that word.  The
job does not fail for it: nothing is wrong with the data that was there before, and the next good file repairs it.  An
empty repo has no datum, so this code is not run at all and the output commit holds no file; readers refuse that too.
Hence a configuration that adds feedback names a commit of this repo only once there is some.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np

from pipelines import feedback, feedback_page
from pipelines.feedback import Collected, Examples, Feedback
from pipelines.files import write_json
from pipelines.pfs import Pfs, run
from pipelines.settings import class_names
from pipelines.split import PASSED, REPORT, write_arrays

NAME = "fmnist-feedback-train"
INPUT = "fmnist-feedback"
LISTED = 100
"""Rejected lines that a report lists; it counts all."""


def collect(pfs: Pfs) -> None:
    """Read, sort out, and write the split and its reports."""
    names = class_names(pfs.variables)
    collected = feedback.collect(pfs.input(INPUT), len(names))
    taken = feedback.examples(collected.valid)
    report = document(names, collected, taken) | {
        "source": {"repo": INPUT, "commit": pfs.commit(INPUT)},
        "code": pfs.variables.get("PIPELINES_VERSION"),
        "outputs": write_arrays(pfs.out, taken.images, taken.labels),
    }
    feedback_page.write(pfs.out / "report.html", report, taken)
    write_json(pfs.out / REPORT, report)
    for rejected in collected.rejected[:LISTED]:
        print(f"left out: {rejected.file}, line {rejected.line}: {rejected.reason}")
    print(f"{NAME}: {report['summary']}")


def document(names: tuple[str, ...], collected: Collected, taken: Examples) -> dict[str, Any]:
    """The machine-readable report; `confusion` has the truth by row and the model's answer by column."""
    predictions = feedback.predictions(collected.valid)
    count, rejected = len(taken.labels), len(collected.rejected)
    accepted = collected.accepted_lines
    summary = (
        f"{count:,} images from {len(collected.valid):,} feedbacks in {len(accepted):,} files; left out: "
        f"malformed lines {rejected:,}, images with contradictory truths {taken.contradicted:,}; "
        f"repetitions merged: {taken.repeated:,}"
    )
    confusion = np.zeros((len(names), len(names)), int)
    for each in predictions:
        confusion[each.truth, each.answer] += 1
    return {
        "format_version": 1,
        "pipeline": NAME,
        "verdict": PASSED if count else "empty",
        "summary": summary,
        "class_names": list(names),
        "images": count,
        "class_counts": np.bincount(taken.labels, minlength=len(names)).tolist(),
        "feedbacks": len(collected.valid),
        "repeated": taken.repeated,
        "contradicted": taken.contradicted,
        "rejected": {"lines": rejected, "first": [asdict(each) for each in collected.rejected[:LISTED]]},
        "files": len(accepted),
        "files_with_nothing_valid": [name for name, lines in accepted.items() if not lines],
        "model_versions": _by_version(predictions),
        "confusion": confusion.tolist(),
    }


def _by_version(predictions: list[Feedback]) -> list[dict[str, Any]]:
    counts = Counter(each.model_version for each in predictions)
    right = Counter(each.model_version for each in predictions if each.answer == each.truth)
    return [
        {"model_version": version, "predictions": count, "right": right[version], "accuracy": right[version] / count}
        for version, count in sorted(counts.items(), key=lambda item: (len(item[0]), item[0]))
    ]


if __name__ == "__main__":
    sys.exit(run(NAME, collect))
