"""The gate's report as one JSON document, and the part of it that the registry keeps."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from typing import Any

import numpy as np

from data.validated import ValidatedSplit
from fmnist.test.comparison import Paired
from fmnist.test.evaluation import Evaluation, wilson_interval
from fmnist.test.feedback import Feedback
from fmnist.test.incumbent import Incumbent
from fmnist.test.latency import Latency
from fmnist.test.leakage import Leakage
from fmnist.test.origin import Origin
from fmnist.test.robustness import Disturbed, Robustness
from fmnist.test.settings import Settings
from fmnist.test.splits import SplitFacts
from fmnist.test.verdict import Verdict

FORMAT_VERSION = 2


@dataclass(frozen=True)
class RegisteredVersion:
    """What the registry knows of the model version under test; `training` is what its experiment says of itself."""

    name: str
    number: int
    checkpoint_uuid: str
    trained: str
    metadata: Mapping[str, Any]
    training: Mapping[str, Any]


@dataclass(frozen=True)
class Findings:
    """Everything that one run of the gate found."""

    settings: Settings
    model: RegisteredVersion
    serving: Mapping[str, Any]
    """The metadata of the serving format."""
    split: ValidatedSplit
    data: Mapping[str, SplitFacts]
    """What is known of the splits `train` and `test`."""
    seen: Leakage
    feedback: Feedback
    evaluation: Evaluation
    incumbent: Incumbent
    origin: Origin
    robustness: Robustness
    latency: Latency
    verdict: Verdict


def document(found: Findings, seconds: float) -> dict[str, Any]:
    """The report as JSON-ready values; `seconds` is the time the gate took.  `versions` is added by its reader."""
    evaluation, model, settings = found.evaluation, found.model, found.settings
    return {
        "format_version": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
        "verdict": {
            "passed": found.verdict.passed,
            "findings": [asdict(finding) for finding in found.verdict.findings],
            "rules": {
                "accuracy_threshold": settings.threshold,
                "class_floors": dict(zip(evaluation.names, settings.floors.of(evaluation.names), strict=True)),
                "production_margin": settings.margin,
            },
        },
        "model": {
            "name": model.name,
            "version": model.number,
            "checkpoint_uuid": model.checkpoint_uuid,
            "trained": model.trained,
            "metadata": dict(model.metadata),
            "parameters": found.serving["model"]["parameters"],
            "temperature": found.serving.get("temperature"),
            "classes": list(evaluation.names),
        },
        "data_test": {
            "reference": found.split.reference,
            "repo": found.split.reference.split("@", 1)[0],
            "commit": found.split.commit,
            "images": evaluation.count,
        },
        "data": {name: asdict(facts) for name, facts in found.data.items()},
        "provenance": found.serving["provenance"],
        "origin": {**asdict(found.origin), "same": found.origin.same},
        "training": dict(model.training),
        "training_metrics": found.serving["metrics"],
        "results": {
            "accuracy": evaluation.accuracy,
            "accuracy_interval_95": list(evaluation.interval),
            "without_near_duplicates": without_near_duplicates(evaluation, found.seen),
            "feedback": asdict(found.feedback),
            "production": production(evaluation, found.incumbent),
            "cross_entropy": evaluation.cross_entropy,
            "brier_score": evaluation.brier_score,
            "calibration_error": evaluation.calibration_error,
            "calibration_error_by_chance_95": evaluation.calibration_chance,
            "classes": [asdict(result) for result in evaluation.classes],
            "confusion": evaluation.confusion.tolist(),
            "confused": confused(evaluation, 5),
            "calibration": [asdict(entry) for entry in evaluation.calibration],
            "robustness": robustness(found.robustness),
            "latency": asdict(found.latency),
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
    right = int(evaluation.right[unseen].sum())
    return {
        "known": True,
        "index": f"fmnist-leakage@{seen.commit}",
        "left_out": len(seen.positions),
        "accuracy": right / len(unseen),
        "accuracy_interval_95": list(wilson_interval(right, len(unseen))),
    }


def production(evaluation: Evaluation, incumbent: Incumbent) -> dict[str, Any]:
    """The paired comparison with the version in production, or why there is none."""
    known = {
        "version": incumbent.version,
        "checkpoint_uuid": incumbent.checkpoint,
        "predictor": incumbent.live.predictor,
    }
    if incumbent.evaluation is None:
        return {**known, "compared": False, "reason": incumbent.reason}
    paired = Paired.of(evaluation.right, incumbent.evaluation.right)
    return {**known, "compared": True, "accuracy": incumbent.evaluation.accuracy, **paired_values(paired)}


def paired_values(paired: Paired) -> dict[str, Any]:
    """A paired test as JSON-ready values."""
    return {
        "images": paired.images,
        "gained": paired.gained,
        "lost": paired.lost,
        "difference": paired.difference,
        "difference_interval_95": list(paired.interval),
        "p_value": paired.p_value,
    }


def confused(evaluation: Evaluation, count: int) -> list[dict[str, Any]]:
    """The pairs of truth and wrong answer that come up most, at most `count`."""
    mistakes = evaluation.confusion.copy()
    np.fill_diagonal(mistakes, 0)
    most = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = [(int(truth), int(answer)) for truth, answer in zip(*np.unravel_index(most, mistakes.shape), strict=True)]
    return [
        {"truth": evaluation.names[truth], "answer": evaluation.names[answer], "images": int(mistakes[truth, answer])}
        for truth, answer in pairs
        if mistakes[truth, answer]
    ]


def robustness(found: Robustness) -> dict[str, Any]:
    """Every disturbance, and the images that it was measured on."""

    def values(result: Disturbed) -> dict[str, Any]:
        return {
            "kind": result.kind,
            "strength": result.strength,
            "accuracy": result.accuracy,
            "accuracy_interval_95": list(result.interval),
            "mean_confidence": result.confidence,
            "undisturbed": paired_values(result.paired),
        }

    return {
        "images": len(found.positions),
        "accuracy_undisturbed": found.accuracy,
        "results": [values(result) for result in found.results],
    }


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the model version's metadata in the registry carries of a report."""
    results, latency = report["results"], report["results"]["latency"]
    compared = ("version", "compared", "reason", "accuracy", "difference", "difference_interval_95", "p_value")
    return {
        "passed": report["verdict"]["passed"],
        "failed": _failed(report["verdict"]["findings"]),
        "threshold": report["verdict"]["rules"]["accuracy_threshold"],
        "class_floors": report["verdict"]["rules"]["class_floors"],
        "production_margin": report["verdict"]["rules"]["production_margin"],
        "test_accuracy": results["accuracy"],
        "test_accuracy_interval_95": results["accuracy_interval_95"],
        "without_near_duplicates": results["without_near_duplicates"],
        "against_production": {key: results["production"][key] for key in compared if key in results["production"]},
        "test_cross_entropy": results["cross_entropy"],
        "test_brier_score": results["brier_score"],
        "test_calibration_error": results["calibration_error"],
        "class_recall": {result["name"]: result["recall"] for result in results["classes"]},
        "robustness": {
            f"{result['kind']} {result['strength']:g}": result["accuracy"]
            for result in results["robustness"]["results"]
        },
        "model_bytes": latency["bytes"],
        "latency_ms": {"median": latency["single_median_ms"], "p99": latency["single_p99_ms"]},
        "pipeline_git_commit": report["origin"]["pipeline"],
        "data_test": {"repo": report["data_test"]["repo"], "commit": report["data_test"]["commit"]},
        "created": report["created"],
    }


def _failed(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    return [finding["sentence"] for finding in findings if finding["outcome"] == "FAILED"]
