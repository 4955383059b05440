"""Images and labels: reading a validated split, the validation images, and augmented training batches.

Source of the format: NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays".
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from errors import ConfigError, InvalidSplit

SIDE = 28
"""Height and width of an image in pixels."""

MIRROR, ORDER, BATCH = 1, 2, 3
"""What a random stream is for, the first number of its seed: no two streams of a trial are the same."""

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Targets = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Examples:
    """Images uint8 [n, 28, 28] (0 is background) and their labels int64 [n]."""

    images: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: npt.NDArray[np.int64]) -> Examples:
        """The examples at `positions`, in that order."""
        return Examples(self.images[positions], self.labels[positions])

    def without(self, others: Examples) -> Examples:
        """The examples whose image is none of `others`, byte by byte."""
        known = {image.tobytes() for image in others.images}
        return self.take(np.array([n for n, image in enumerate(self.images) if image.tobytes() not in known], np.int64))


def read_examples(images: bytes, labels: bytes, classes: int) -> Examples:
    """One split from the content of images.npy and labels.npy; labels must be below `classes`.  Raises InvalidSplit."""
    pixels, answers = _read_array(images, "images.npy"), _read_array(labels, "labels.npy")
    if pixels.shape[1:] != (SIDE, SIDE):
        raise InvalidSplit(f"images.npy has the shape {list(pixels.shape)}; the network takes [n, {SIDE}, {SIDE}]")
    if answers.shape != (len(pixels),):
        raise InvalidSplit(f"{len(pixels)} images, but labels.npy has the shape {list(answers.shape)}")
    if answers.size and answers.max() >= classes:
        position = int(answers.argmax())
        raise InvalidSplit(f"label {answers[position]} at position {position}; the label list has 0 to {classes - 1}")
    return Examples(pixels, answers.astype(np.int64))


def _read_array(content: bytes, name: str) -> Pixels:
    stream = io.BytesIO(content)
    try:
        array: Pixels = np.lib.format.read_array(stream, allow_pickle=False)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise InvalidSplit(f"{name} is not a whole array file ({error})") from error
    if array.dtype != np.uint8 or not array.ndim or stream.read(1):
        raise InvalidSplit(f"{name} does not hold exactly one uint8 array: {array.dtype} {list(array.shape)}")
    return np.ascontiguousarray(array)


def split(examples: Examples, validation_images: int, seed: int, classes: int) -> tuple[Examples, Examples]:
    """(training, validation): the same number of images of every class goes to validation, drawn with `seed`.

    Raises ConfigError if a class has too few images.
    """
    if validation_images <= 0 or validation_images % classes:
        raise ConfigError(f"validation_images={validation_images} is not a positive multiple of {classes} classes")
    each = validation_images // classes
    rng = np.random.default_rng(seed)
    chosen = []
    for label in range(classes):
        members = np.flatnonzero(examples.labels == label)
        if len(members) <= each:
            raise ConfigError(
                f"class {label} has {len(members)} images; {each} of them for validation leaves none to train on: "
                f"lower hyperparameters.validation_images={validation_images}"
            )
        chosen.append(rng.permutation(members)[:each])
    validation = np.sort(np.concatenate(chosen))
    return examples.take(np.setdiff1d(np.arange(len(examples)), validation)), examples.take(validation)


def join(first: Examples, second: Examples | None) -> Examples:
    """The examples of both, those of `first` first."""
    if second is None:
        return first
    return Examples(np.concatenate([first.images, second.images]), np.concatenate([first.labels, second.labels]))


class Batches:
    """Shuffled and augmented training batches.

    Batch k depends on the seed and k alone, so a resumed trial goes on with what the killed one would have seen.
    An epoch visits every image at most once; the few that do not fill a last batch wait for another epoch.
    With `flip` each image comes mirrored in every other epoch, half of them in the first: any two in a row show
    both views of every image (K. Jordan, "94% on CIFAR-10 in 3.29 seconds", arXiv 2404.00498).  With `erase` a square
    of so many pixels a side, centred anywhere, becomes background (T. DeVries, G. Taylor, "Cutout", arXiv 1708.04552).
    """

    def __init__(
        self, examples: Examples, *, classes: int, batch_size: int, shift: int, flip: bool, erase: int, seed: int
    ) -> None:
        if not 0 < batch_size <= len(examples):
            raise ConfigError(f"batch_size={batch_size} with {len(examples)} training images")
        self.steps_per_epoch = len(examples) // batch_size
        self._labels = examples.labels
        self._one_hot = np.eye(classes, dtype=np.float32)
        self._batch_size = batch_size
        self._shift = shift
        self._erase = erase
        self._first_mirrored = np.random.default_rng((MIRROR, seed)).random(len(examples)) < 0.5 if flip else None
        self._seed = seed
        padded = np.pad(examples.images, ((0, 0), (shift, shift), (shift, shift)))
        # A view, not a copy: [n, dy, dx, row, column] reads every shifted version out of the padded image.
        self._windows = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), axis=(1, 2))  # type: ignore[call-overload]
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def batch(self, step: int) -> tuple[Pixels, Targets]:
        """Batch number `step`: uint8 [batch, 28, 28] and one-hot float32 [batch, classes]."""
        epoch, position = divmod(step, self.steps_per_epoch)
        chosen = self._permutation(epoch)[position * self._batch_size : (position + 1) * self._batch_size]
        rng = np.random.default_rng((BATCH, self._seed, epoch, position))
        down, right = rng.integers(0, 2 * self._shift + 1, (2, len(chosen)))
        images = self._windows[chosen, down, right]
        if self._first_mirrored is not None:
            mirrored = self._first_mirrored[chosen] ^ bool(epoch % 2)
            images[mirrored] = images[mirrored, :, ::-1]
        if self._erase:
            start = rng.integers(0, SIDE, (2, len(chosen), 1)) - self._erase // 2
            rows, columns = (np.arange(SIDE) >= start) & (np.arange(SIDE) < start + self._erase)
            images[rows[:, :, np.newaxis] & columns[:, np.newaxis, :]] = 0
        return images, self._one_hot[self._labels[chosen]]

    def since(self, step: int) -> Iterator[tuple[Pixels, Targets]]:
        """All batches from number `step` on, without end."""
        while True:
            yield self.batch(step)
            step += 1

    def _permutation(self, epoch: int) -> npt.NDArray[np.int64]:
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng((ORDER, self._seed, epoch)).permutation(len(self._labels)))
        return self._order[1]
