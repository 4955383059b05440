"""What a pipeline takes from the gate: the version as variables for its later jobs, and the figures that it plots.

Formats: `.env` as GitLab's `artifacts:reports:dotenv` reads it, and the text format of Prometheus for
`artifacts:reports:metrics`, whose changes a merge request shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

VARIABLES, METRICS = "model.env", "metrics.txt"


def write(folder: Path, document: Mapping[str, Any]) -> None:
    """Write both files beside the report."""
    (folder / VARIABLES).write_text("".join(f"{name}={value}\n" for name, value in variables(document).items()))
    (folder / METRICS).write_text("".join(f"{line}\n" for line in metrics(document)))


def variables(document: Mapping[str, Any]) -> dict[str, str]:
    """What names the version and its data for good: a number instead of the newest, commits instead of branches.

    A version that was not trained on a commit names none.
    """
    model, train, test = document["model"], document["provenance"]["data_train"], document["data_test"]
    splits = {"TRAIN_DATA": train, "TEST_DATA": test}
    return {
        "MODEL_NAME": model["name"],
        "MODEL_VERSION": str(model["version"]),
        "CHECKPOINT_UUID": model["checkpoint_uuid"],
        **{name: f"{split['repo']}@{split['commit']}" for name, split in splits.items() if split["commit"]},
    }


def metrics(document: Mapping[str, Any]) -> Iterator[str]:
    """One figure a line."""
    results = document["results"]
    yield f"test_accuracy {results['accuracy']:.6f}"
    yield f"test_calibration_error {results['calibration_error']:.6f}"
    yield f"test_cross_entropy {results['cross_entropy']:.6f}"
    for each in results["classes"]:
        yield f'class_recall{{class="{_label(each["name"])}"}} {each["recall"]:.6f}'
    for each in results["robustness"]["results"]:
        labels = f'kind="{_label(each["kind"])}",strength="{each["strength"]:g}"'
        yield f"disturbed_accuracy{{{labels}}} {each['accuracy']:.6f}"
    latency = results["latency"]
    yield f"model_size_bytes {latency['bytes']}"
    yield f"image_latency_milliseconds {latency['single_median_ms']:.3f}"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
