"""Runs the exported model with LiteRT: thread-safe, bounded in memory, and only as a verified folder says."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from .errors import ModelError

CHUNK = 128
"""Images in one forward pass: more is no faster (reference measurements), and activations grow with it."""

Probabilities = npt.NDArray[np.float32]


class Classifier:
    """The model of one process.

    A LiteRT interpreter is not thread-safe, so each call takes one out of the pool; the pool grows to the
    number of threads that predict at once.  Create it after a fork: a worker shares nothing with its parent.
    """

    def __init__(self, path: Path) -> None:
        """Load `model.tflite`.  Raises ModelError where it is not uint8 [n,28,28] in, float32 [n,10] out."""
        self._path = path
        self._pool = deque([self._runner()])
        self.probabilities(np.zeros((1, 28, 28), np.uint8))

    def probabilities(self, images: npt.NDArray[np.uint8]) -> Probabilities:
        """Class probabilities, float32 [n, 10], of images uint8 [n, 28, 28]; n at least 1."""
        try:
            runner = self._pool.pop()
        except IndexError:
            runner = self._runner()
        try:
            chunks = [runner.forward(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
        finally:
            self._pool.append(runner)
        return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)

    def _runner(self) -> _Runner:
        try:
            interpreter = Interpreter(model_path=str(self._path), num_threads=1)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{self._path} cannot be loaded: {error}; build the image again") from error
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        signature = [(each["dtype"], tuple(each["shape_signature"][1:])) for each in (*inputs, *outputs)]
        if signature != [(np.uint8, (28, 28)), (np.float32, (10,))]:
            raise ModelError(f"{self._path} has the signature {signature}; expected uint8 [n,28,28] to float32 [n,10]")
        return _Runner(interpreter)


class _Runner:
    """An interpreter, with what asking it each time takes longer than some of its answers."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
        self._source, self._result = source["index"], result["index"]
        self._shape = tuple(source["shape"])

    def forward(self, images: npt.NDArray[np.uint8]) -> Probabilities:
        if images.shape != self._shape:
            self._shape = ()  # Until both calls have succeeded it is not known.
            self._interpreter.resize_tensor_input(self._source, images.shape)
            self._interpreter.allocate_tensors()
            self._shape = images.shape
        self._interpreter.set_tensor(self._source, images)
        self._interpreter.invoke()
        result: Probabilities = self._interpreter.get_tensor(self._result)
        return result
