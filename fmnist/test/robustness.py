"""How the accuracy holds when the images are a little different: moved, turned, noisy, darker, flatter.

Every disturbance is measured on the same stratified part of the test split, with fixed seeds, so that two versions can
be compared.  It informs; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fmnist.test.comparison import Paired
from fmnist.test.evaluation import Evaluation

Images = npt.NDArray[np.uint8]

IMAGES = 1000
"""Images disturbed, in equal parts of each class: a compromise of time and of the interval's width."""

SEED = 0


@dataclass(frozen=True)
class Kind:
    """One way of disturbing; `clean` is the strength that changes nothing.

    `apply` takes uint8 [n, 28, 28], a strength and a generator, and returns as many images.
    """

    name: str
    unit: str
    clean: float
    strengths: Sequence[float]
    apply: Callable[[Images, float, np.random.Generator], Images]


@dataclass(frozen=True)
class Disturbed:
    """What is left under one disturbance; `paired` compares it with the answers to the undisturbed images."""

    kind: str
    strength: float
    accuracy: float
    interval: tuple[float, float]
    confidence: float
    paired: Paired

    @classmethod
    def of(cls, kind: Kind, strength: float, found: Evaluation, clean: Evaluation) -> Disturbed:
        """From the answers to the same images, disturbed and not."""
        confidence, paired = float(found.confidences.mean()), Paired.of(found.right, clean.right)
        return cls(kind.name, strength, found.accuracy, found.interval, confidence, paired)


@dataclass(frozen=True)
class Robustness:
    """Accuracy on `positions` of the test split, under each disturbance and `clean`: undisturbed."""

    positions: npt.NDArray[np.int64]
    clean: Evaluation
    results: tuple[Disturbed, ...]

    @property
    def accuracy(self) -> float:
        """Accuracy on the undisturbed images."""
        return self.clean.accuracy

    def undisturbed(self, kind: Kind) -> Disturbed:
        """The disturbance of that kind whose strength changes nothing."""
        return Disturbed.of(kind, kind.clean, self.clean, self.clean)


def shift(images: Images, pixels: float, rng: np.random.Generator) -> Images:
    """Each image moved up, down, left or right by so many pixels; background comes in."""
    moved = np.zeros_like(images)
    direction = rng.integers(0, 4, len(images))
    for number, (rows, columns) in enumerate(((-pixels, 0), (pixels, 0), (0, -pixels), (0, pixels))):
        mine = direction == number
        moved[mine] = ndimage.shift(images[mine], (0, rows, columns), order=0)
    return moved


def rotate(images: Images, degrees: float, rng: np.random.Generator) -> Images:
    """Each image turned by so many degrees to the left or to the right, with bilinear interpolation."""
    turned = np.zeros_like(images)
    left = rng.random(len(images)) < 0.5
    for mine, angle in ((left, degrees), (~left, -degrees)):
        floats = images[mine].astype(np.float32)
        turned[mine] = _pixels(ndimage.rotate(floats, angle, axes=(1, 2), reshape=False, order=1))
    return turned


def noise(images: Images, deviation: float, rng: np.random.Generator) -> Images:
    """Gaussian noise of that standard deviation, in grey values, on every pixel."""
    return _pixels(images + rng.normal(0, deviation, images.shape))


def brightness(images: Images, factor: float, _: np.random.Generator) -> Images:
    """Every grey value times the factor, as in Pillow's ImageEnhance.Brightness."""
    return _pixels(images * np.float64(factor))


def contrast(images: Images, factor: float, _: np.random.Generator) -> Images:
    """Every distance from the image's own mean times the factor, as in Pillow's ImageEnhance.Contrast."""
    means = images.mean(axis=(1, 2), keepdims=True)
    return _pixels(means + factor * (images - means))


KINDS = (
    Kind("shift", "px", 0, (1, 2, 3), shift),
    Kind("rotation", "°", 0, (5, 10, 15), rotate),
    Kind("noise", "grey values", 0, (8, 16, 32), noise),
    Kind("brightness", "factor", 1, (0.5, 0.75, 1.25, 1.5), brightness),
    Kind("contrast", "factor", 1, (0.5, 0.75, 1.25, 1.5), contrast),
)


def measure(
    predict: Callable[[Images], npt.NDArray[np.float32]],
    images: Images,
    evaluation: Evaluation,
    advance: Callable[[int], object] = lambda _: None,
) -> Robustness:
    """Disturb part of the images whose `evaluation` is given; `advance` hears of each number of images done."""
    positions = stratified(evaluation.labels, IMAGES, len(evaluation.names))
    clean, results = evaluation.part(positions), []
    for kind in KINDS:
        for strength in kind.strengths:
            answers = predict(disturbed(kind, strength, images[positions]))
            results.append(Disturbed.of(kind, strength, Evaluation(answers, clean.labels, clean.names), clean))
            advance(len(positions))
    return Robustness(positions, clean, tuple(results))


def total(evaluation: Evaluation) -> int:
    """How many images `measure` lets a model answer."""
    each = len(stratified(evaluation.labels, IMAGES, len(evaluation.names)))
    return each * sum(len(kind.strengths) for kind in KINDS)


def disturbed(kind: Kind, strength: float, images: Images) -> Images:
    """The images under one disturbance: the same every time."""
    return kind.apply(images, strength, np.random.default_rng(SEED))


def stratified(labels: npt.NDArray[np.int64], count: int, classes: int) -> npt.NDArray[np.int64]:
    """Positions of about `count` images, drawn with a fixed seed: as many of each class, or all it has."""
    rng = np.random.default_rng(SEED)
    each = max(1, count // classes)
    drawn = [rng.permutation(np.flatnonzero(labels == label))[:each] for label in range(classes)]
    return np.sort(np.concatenate(drawn))


def _pixels(values: npt.NDArray[np.floating[Any]]) -> Images:
    rounded: Images = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded
