"""One training step under the microscope, in a process of its own: TensorFlow settles threads and oneDNN as it loads.

`python -m benchmarks.training.step` builds the real trial (fmnist/model/src) and prints one JSON object; arithmetic.py
starts it once for each variant and repeat.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.training import real

PRODUCT = 2048
"""Side of the square matrices whose product gives the peak: large enough that reading them does not count."""


def main() -> int:
    """Measure what the options say and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.step", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with images.npy and labels.npy")
    parser.add_argument("--steps", type=int, default=100, help="steps that are timed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="override a hyperparameter")
    parser.add_argument("--threads", type=int, help="cores to use (else all)")
    parser.add_argument("--xla", action="store_true", help="compile the step with XLA")
    parser.add_argument("--bfloat16", action="store_true", help="Keras' mixed precision: activations in bfloat16")
    parser.add_argument("--no-prefetch", action="store_true", help="make each batch when it is asked for")
    parser.add_argument("--parts", action="store_true", help="also what each part of a step takes")
    arguments = parser.parse_args()
    if arguments.threads:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryDirectory(prefix="checkpoints-") as checkpoints:
        options = [f"--data={arguments.data}", f"--seed={arguments.seed}"]
        options += [f"--set={value}" for value in arguments.set]
        policy = "mixed_bfloat16" if arguments.bfloat16 else "float32"
        step = Step(options, checkpoints, policy=policy, xla=arguments.xla, prefetch=not arguments.no_prefetch)
        found: dict[str, Any] = {**step.rate(arguments.steps), "peak": peak(step.towers), "flop": step.flop()}
        if arguments.parts:
            found |= {"parts": step.parts(arguments.steps), "ops": step.ops(arguments.steps)}
    print(json.dumps(found))
    return 0


class Step:
    """The trial that train.py would run, stopped before its first epoch."""

    def __init__(self, options: list[str], checkpoints: str, *, policy: str, xla: bool, prefetch: bool) -> None:
        import tensorflow as tf

        self._tf = tf
        tf.keras.mixed_precision.set_global_policy(policy)
        training = real.training(options, checkpoints)
        self._model = training._model
        self._batches = training._batches
        self._model.jit_compile = xla
        self._dataset = training._dataset
        self._prefetch = prefetch
        self._size = training._task.hyperparameters.batch_size
        self.towers = training._task.hyperparameters.towers

    def batches(self) -> Any:
        """The trial's own input pipeline, or the same without its prefetching."""
        if self._prefetch:
            return self._dataset()
        signature = self._dataset().element_spec
        return self._tf.data.Dataset.from_generator(lambda: self._batches.since(0), output_signature=signature)

    def rate(self, steps: int) -> dict[str, float]:
        """Images a second of `model.fit`, and the seconds until its first step was done (tracing, compiling)."""
        clock = _clock(self._tf)
        started = time.perf_counter()
        self._model.fit(self.batches(), epochs=1, steps_per_epoch=steps + 5, verbose=0, callbacks=[clock])
        # The first steps still warm caches and allocators.
        seconds = clock.ends[-1] - clock.ends[4]
        return {
            "images_per_second": self._size * steps / seconds,
            "milliseconds": 1000 * seconds / steps,
            "first_step": clock.ends[0] - started,
        }

    def flop(self) -> dict[str, float]:
        """Floating-point operations for an image, as TensorFlow's profiler counts them in the graphs (batch constant).

        It counts convolutions and matrix products with their gradients, and most elementwise operations; a fused
        multiply-add is two.
        """
        profiler = self._tf.compat.v1.profiler
        options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
        options = options.with_empty_output().build()
        images, targets = self._specification()
        forward = self._tf.function(lambda x: self._model(x, training=False)).get_concrete_function(images)
        train = self._tf.function(self._model.train_step).get_concrete_function((images, targets))
        counted = (profiler.profile(graph.graph, options=options) for graph in (forward, train))
        return dict(zip(("forward", "training"), (each.total_float_ops / self._size for each in counted), strict=True))

    def parts(self, steps: int) -> dict[str, float]:
        """Milliseconds a step: the batch made by itself, forward, forward and backward, the whole step, and in fit."""
        tf, model = self._tf, self._model
        images, targets = next(iter(self.batches()))

        def loss() -> Any:
            answers = [model(part, training=True) for part in tf.split(images, self.towers)]
            return model.compute_loss(images, targets, tf.concat(answers, axis=0))

        @tf.function  # type: ignore[untyped-decorator]
        def forward() -> Any:
            return loss()

        @tf.function  # type: ignore[untyped-decorator]
        def backward() -> Any:
            with tf.GradientTape() as tape:
                value = loss()
            # Summed up, or TensorFlow would leave out the gradients that nobody uses.
            return tf.add_n([tf.reduce_sum(each) for each in tape.gradient(value, model.trainable_variables)])

        whole = tf.function(lambda: model.train_step((images, targets)))
        numbers = itertools.count()
        pipeline = iter(self.batches())
        return {
            "augmentation": _milliseconds(lambda: self._batches.batch(next(numbers)), steps),
            "pipeline": _milliseconds(lambda: next(pipeline), steps),
            "forward": _milliseconds(forward, steps),
            "forward_backward": _milliseconds(backward, steps),
            "step": _milliseconds(whole, steps),
            "fit": self.rate(steps)["milliseconds"],
        }

    def ops(self, steps: int) -> dict[str, float]:
        """Milliseconds a step by kind of operation, from TensorFlow's tracer; operations may run side by side."""
        from tensorflow.tsl.profiler.protobuf import xplane_pb2

        with tempfile.TemporaryDirectory(prefix="trace-") as folder:
            self._tf.profiler.experimental.start(folder)
            self._model.fit(self.batches(), epochs=1, steps_per_epoch=steps, verbose=0)
            self._tf.profiler.experimental.stop()
            space = xplane_pb2.XSpace()
            (written,) = Path(folder).rglob("*.xplane.pb")
            space.ParseFromString(written.read_bytes())
        return kinds(space, steps)

    def _specification(self) -> tuple[Any, Any]:
        images, targets = next(iter(self.batches()))
        return tuple(self._tf.TensorSpec(each.shape, each.dtype) for each in (images, targets))


def kinds(space: Any, steps: int) -> dict[str, float]:
    """Milliseconds a step by type of operation, the longest first.

    In a trace an operation is named node:type; a name with a double colon is a part of TensorFlow itself.  oneDNN's
    operations count as those that they stand in for.
    """
    total: Counter[str] = Counter()
    for plane in space.planes:
        if not plane.name.startswith("/host"):
            continue
        for line in plane.lines:
            for event in line.events:
                name, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if name and not name.endswith(":") and kind.isidentifier():
                    total[kind.removeprefix("_MklNative").removeprefix("_Mkl")] += event.duration_ps
    return {kind: picoseconds / 1e9 / steps for kind, picoseconds in total.most_common()}


def peak(towers: int) -> float:
    """Floating-point operations a second of the best of some float32 matrix products, one a tower side by side."""
    import tensorflow as tf

    pairs = [[tf.random.normal((PRODUCT, PRODUCT)) for _ in range(2)] for _ in range(towers)]
    products = tf.function(lambda: [tf.matmul(left, right) for left, right in pairs])
    best = min(_milliseconds(lambda: products()[-1], 1) for _ in range(8))
    return towers * 2 * PRODUCT**3 / (best / 1000)


def _milliseconds(call: Callable[[], Any], times: int) -> float:
    """The mean of `times` calls after one that warms up."""
    result = call()
    started = time.perf_counter()
    for _ in range(times):
        result = call()
    getattr(result, "numpy", lambda: None)()
    return 1000 * (time.perf_counter() - started) / times


def _clock(tf: Any) -> Any:
    class Clock(tf.keras.callbacks.Callback):  # type: ignore[misc]
        """When each step ended."""

        def __init__(self) -> None:
            super().__init__()
            self.ends: list[float] = []

        def on_train_batch_end(self, _batch: int, _logs: Any = None) -> None:
            self.ends.append(time.perf_counter())

    return Clock()


if __name__ == "__main__":
    sys.exit(main())
