"""The gate's report: one JSON document, and the same as Markdown and as a self-contained HTML page."""

from __future__ import annotations

import base64
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from data.validated import ValidatedSplit
from fmnist.test import plots
from fmnist.test.evaluation import Evaluation, wilson_interval
from fmnist.test.leakage import Leakage

MISTAKES = 20
"""Number of most confident mistakes shown as pictures."""


@dataclass(frozen=True)
class RegisteredVersion:
    """What the registry knows of the model version under test."""

    name: str
    number: int
    checkpoint_uuid: str
    trained: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """The gate's decision; `reasons` says why, one sentence each."""

    passed: bool
    threshold: float
    reasons: tuple[str, ...]


def decide(evaluation: Evaluation, threshold: float) -> Verdict:
    """Pass if the accuracy reaches the threshold."""
    low, high = evaluation.interval
    comparison = "reaches" if evaluation.accuracy >= threshold else "is below"
    reason = (
        f"accuracy {evaluation.accuracy:.4f} ({round(evaluation.accuracy * evaluation.count)} of {evaluation.count} "
        f"images; 95 % interval {low:.4f} to {high:.4f}) {comparison} the threshold {threshold:.4f}"
    )
    return Verdict(evaluation.accuracy >= threshold, threshold, (reason,))


def document(
    *,
    model: RegisteredVersion,
    serving: Mapping[str, Any],
    split: ValidatedSplit,
    seen: Leakage,
    evaluation: Evaluation,
    verdict: Verdict,
    seconds: float,
) -> dict[str, Any]:
    """The report as JSON-ready values; `serving` is the metadata of the serving format, `seconds` the gate's time."""
    return {
        "format_version": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
        "verdict": asdict(verdict),
        "model": {
            "name": model.name,
            "version": model.number,
            "checkpoint_uuid": model.checkpoint_uuid,
            "trained": model.trained,
            "metadata": dict(model.metadata),
            "parameters": serving["model"]["parameters"],
        },
        "data_test": {
            "reference": split.reference,
            "repo": split.reference.split("@", 1)[0],
            "commit": split.commit,
            "images": len(split.labels),
        },
        "provenance": serving["provenance"],
        "training_metrics": serving["metrics"],
        "results": {
            "accuracy": evaluation.accuracy,
            "accuracy_interval_95": list(evaluation.interval),
            "without_near_duplicates": without_near_duplicates(evaluation, seen),
            "cross_entropy": evaluation.cross_entropy,
            "calibration_error": evaluation.calibration_error,
            "classes": [asdict(result) for result in evaluation.classes],
            "confusion": evaluation.confusion.tolist(),
            "calibration": [asdict(entry) for entry in evaluation.calibration],
        },
        "software": {
            "python": platform.python_version(),
            **{package: installed(package) for package in ("ai-edge-litert", "numpy", "pachyderm-sdk", "determined")},
        },
    }


def without_near_duplicates(evaluation: Evaluation, seen: Leakage) -> dict[str, Any]:
    """The accuracy on the test images that the train split does not nearly hold, or why it is unknown."""
    if seen.positions is None:
        return {"known": False, "reason": seen.reason}
    unseen = np.setdiff1d(np.arange(evaluation.count), seen.positions)
    if not len(unseen):
        return {"known": False, "reason": "every test image has one"}
    right = int((evaluation.answers[unseen] == evaluation.labels[unseen]).sum())
    return {
        "known": True,
        "index": f"fmnist-leakage@{seen.commit}",
        "left_out": len(seen.positions),
        "accuracy": right / len(unseen),
        "accuracy_interval_95": list(wilson_interval(right, len(unseen))),
    }


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the model version's metadata in the registry carries of a report."""
    results = report["results"]
    return {
        "passed": report["verdict"]["passed"],
        "threshold": report["verdict"]["threshold"],
        "test_accuracy": results["accuracy"],
        "test_accuracy_interval_95": results["accuracy_interval_95"],
        "without_near_duplicates": results["without_near_duplicates"],
        "test_cross_entropy": results["cross_entropy"],
        "test_calibration_error": results["calibration_error"],
        "class_recall": {result["name"]: result["recall"] for result in results["classes"]},
        "data_test": {"repo": report["data_test"]["repo"], "commit": report["data_test"]["commit"]},
        "created": report["created"],
    }


def write(folder: Path, report: Mapping[str, Any], evaluation: Evaluation, split: ValidatedSplit) -> None:
    """Write `report.json`, `report.md` and `report.html` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    mistakes = [
        {
            "position": int(position),
            "truth": evaluation.names[evaluation.labels[position]],
            "answer": evaluation.names[evaluation.answers[position]],
            "confidence": float(evaluation.confidences[position]),
            "png": base64.b64encode(plots.png(split.images[position])).decode(),
        }
        for position in evaluation.worst_mistakes(MISTAKES)
    ]
    pictures = {
        "confusion": plots.confusion(evaluation),
        "classes": plots.classes(evaluation, report["verdict"]["threshold"]),
        "reliability": plots.reliability(evaluation),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("report.md", "report.html"):
        page = environment.get_template(f"{name}.j2").render(
            report=report, names=evaluation.names, mistakes=mistakes, pictures=pictures
        )
        (folder / name).write_text(page)
