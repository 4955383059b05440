"""What smaller forms of the exported model cost in accuracy and gain in size and speed, beside the float32 one.

    python -m benchmarks.training.quantised --seeds 1 2 3 4 5

Each seed is a training; its weights and temperature are converted once for each form.  Accuracy is that on the images
kept for validation, since it decides which form is served.  Speed is that of LiteRT on one thread, as the wrapper in
deploy/ runs it: a single image, and 500 at once; all forms in turn, five times.  It is taken in processor time, which
other processes do not lengthen.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.training import real, runs, setting, trial

Pixels = npt.NDArray[np.uint8]
Runner = Callable[[Pixels], npt.NDArray[np.float32]]

RESULTS = "quantised.json"
SERVED = "float32 (served)"
REPEATS = 5
SINGLE = 500
"""Images that are asked one by one in a repeat."""
BATCH = 500
CALIBRATION = 200
"""Training images whose activations set the ranges of the integer form."""


def main() -> int:
    """Measure what the results file does not hold yet and write the page."""
    arguments = setting.parser("quantised", __doc__, range(1, 6)).parse_args()
    code = f"{setting.trained_code()}-{setting.digest(Path(__file__))}"
    quick = setting.QUICK if arguments.quick else {}
    keys = [{"seed": seed, "code": code} for seed in arguments.seeds]
    return runs.complete(
        arguments, RESULTS, keys, lambda data, key: {"forms": measure(data, key["seed"], quick)}, {code}
    )


def measure(data: Path, seed: int, overrides: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Train, convert, and measure every form."""
    with trial.checkpoint(data / "train", seed, overrides) as (done, checkpoint):
        training, validation = real.splits(data / "train", checkpoint)
        contents = forms(checkpoint, data / "train", training.images[:CALIBRATION])
    images, labels = validation.images, validation.labels
    runners = {form: replace(done.model, content=content).runner(threads=1) for form, content in contents.items()}
    answers = {form: _ask(runner, images, BATCH) for form, runner in runners.items()}
    times: dict[str, dict[str, list[float]]] = {form: {"single": [], "batch": []} for form in contents}
    for _ in range(REPEATS):
        for form, runner in runners.items():
            times[form]["single"].append(1000 * _seconds(runner, images[:SINGLE], 1) / min(SINGLE, len(images)))
            times[form]["batch"].append(len(images) / _seconds(runner, images, BATCH))
    reference = answers[SERVED]
    return {
        form: {
            "bytes": len(content),
            "validation_accuracy": float((answers[form].argmax(axis=1) == labels).mean()),
            "differ": float((answers[form].argmax(axis=1) != reference.argmax(axis=1)).mean()),
            "largest_difference": float(np.abs(answers[form] - reference).max()),
            **times[form],
        }
        for form, content in contents.items()
    }


def forms(checkpoint: Path, train: Path, calibration: Pixels) -> dict[str, bytes]:
    """The served model, and the same weights in smaller types; `calibration` sets the ranges of the integer form."""
    import tensorflow as tf

    metadata = json.loads((checkpoint / "metadata.json").read_text())
    options = [f"--set={name}={value}" for name, value in metadata["hyperparameters"].items()]
    with tempfile.TemporaryDirectory(prefix="checkpoints-") as folder:
        training = real.training([f"--data={train}", *options], folder)
    import export  # the training code is on the path from here on

    model = training._model
    model.load_weights(str(checkpoint / "model_checkpoint")).expect_partial()

    def half(converter: tf.lite.TFLiteConverter) -> None:
        converter.target_spec.supported_types = [tf.float16]

    def integer(converter: tf.lite.TFLiteConverter) -> None:
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)

    changes: dict[str, Callable[[Any], None]] = {
        "float16 weights": half,
        "int8 weights": lambda _: None,
        "int8 weights and activations": integer,
    }
    converted = {SERVED: (checkpoint / "serving" / "model.tflite").read_bytes()}
    for form, change in changes.items():
        converter = export.converter(model, metadata["temperature"], metadata["hyperparameters"]["flip"])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        change(converter)
        converted[form] = converter.convert()
    return converted


def _ask(runner: Runner, images: Pixels, batch: int) -> npt.NDArray[np.float32]:
    return np.concatenate([runner(images[start : start + batch]) for start in range(0, len(images), batch)])


def _seconds(runner: Runner, images: Pixels, batch: int) -> float:
    runner(images[:batch])  # Memory for this size is allocated off the clock.
    started = time.process_time()
    _ask(runner, images, batch)
    return time.process_time() - started


if __name__ == "__main__":
    sys.exit(main())
