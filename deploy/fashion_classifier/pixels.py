"""What an image is to the model, and the rules by which numbers become images.

Seldon's own conversion (`np.array(...).reshape(...)`) turns a client's mistake into a 500, reads `true` as 1 and
takes strings; so everything is checked here before NumPy sees it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import BadInput

SIDE = 28
PIXELS = SIDE * SIDE
MAX_IMAGES = 10_000
"""Images in one request: the whole test split. Bounds the memory that one request can take."""

SHAPES = "[28,28], [784], [n,28,28], [n,28,28,1] or [n,784]"
_SINGLE_IMAGE = ((SIDE, SIDE), (PIXELS,))
_IMAGE = ((SIDE, SIDE), (SIDE, SIDE, 1), (PIXELS,))
_JSON_TYPES = {str: "a string", bool: "true or false", type(None): "null", dict: "an object", list: "a list"}

Images = npt.NDArray[np.uint8]


def from_tensor(tensor: object) -> Images:
    """Images of `{"shape": [...], "values": [...]}`.  Raises BadInput."""
    if not isinstance(tensor, Mapping) or not {"shape", "values"} <= tensor.keys():
        raise BadInput('"tensor" must be an object with "shape" and "values"')
    shape, values = tensor["shape"], tensor["values"]
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise BadInput(f'"shape" must be a list of integers: {SHAPES}')
    if not isinstance(values, list):
        raise BadInput(f'"values" is {name(values)}; send one flat list of numbers in row order')
    sizes = tuple(shape)
    check_shape(sizes)
    if math.prod(sizes) != len(values):
        raise BadInput(f"shape {shape} needs {math.prod(sizes)} values; found {len(values)}")
    return _from_numbers(values, sizes)


def from_lists(nested: object, field: str = "ndarray") -> Images:
    """Images of nested lists of numbers; `field` is where they stand.  Raises BadInput."""
    if not isinstance(nested, list):
        raise BadInput(f'"{field}" is {name(nested)}; send nested lists of shape {SHAPES}')
    sizes: tuple[int, ...] = (len(nested),)
    level = nested
    while level and any(type(item) is list for item in level):
        if len(sizes) == 4:
            raise BadInput(f'"{field}" has more than four dimensions; send {SHAPES}')
        lengths = {len(item) if type(item) is list else -1 for item in level}
        if len(lengths) != 1:
            raise BadInput(f'"{field}" is ragged in dimension {len(sizes)}: its parts differ in length; send {SHAPES}')
        sizes += (lengths.pop(),)
        level = list(chain.from_iterable(level))
    check_shape(sizes)
    return _from_numbers(level, sizes)


def to_images(values: npt.NDArray[Any], shape: tuple[int, ...]) -> Images:
    """Pixels as uint8 [n, 28, 28], from numbers in row order; `shape` is one of SHAPES and fits them.

    They are rounded to the nearest integer, since the model was trained on 0 to 255.  Raises BadInput for NaN, values
    outside 0 to 255, and images that are plainly scaled to 0 to 1: rounding those would give an almost black image
    and a confident wrong answer.
    """
    if values.dtype == np.uint8:
        return values.reshape(_count(shape), SIDE, SIDE)
    wrong = ~((values >= 0) & (values <= 255))
    if wrong.any():
        position = int(wrong.argmax())
        raise BadInput(f"value {position} is {values.flat[position]:g}; send pixel values from 0 to 255")
    rounded: npt.NDArray[np.float64] = np.rint(values)
    if values.max() <= 1 and (rounded != values).any():
        raise BadInput("the pixel values look scaled to 0-1; send them from 0 to 255, without normalisation")
    return rounded.astype(np.uint8).reshape(_count(shape), SIDE, SIDE)


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse what is not one of SHAPES.  Raises BadInput."""
    if shape in _SINGLE_IMAGE:
        return
    if shape[1:] not in _IMAGE:
        raise BadInput(f"shape {list(shape)} is not one of {SHAPES}")
    if shape[0] < 1:
        raise BadInput(f"shape {list(shape)} holds no image; send at least one")
    if shape[0] > MAX_IMAGES:
        raise BadInput(f"{shape[0]} images in one request; send at most {MAX_IMAGES}")


def name(value: object) -> str:
    """The kind of a JSON value, for an error's text."""
    return _JSON_TYPES.get(type(value), type(value).__name__)


def _from_numbers(values: list[Any], shape: tuple[int, ...]) -> Images:
    # What clients nearly always send, in a tenth of the time; the long way also says what is wrong.
    if list(map(type, values)).count(int) == len(values):
        with suppress(ValueError):
            return np.frombuffer(bytes(values), np.uint8).reshape(_count(shape), SIDE, SIDE)
    return to_images(_numbers(values), shape)


def _numbers(values: list[Any]) -> npt.NDArray[np.float64]:
    if not {type(value) for value in values} <= {int, float}:
        position = next(i for i, value in enumerate(values) if type(value) not in (int, float))
        raise BadInput(f"value {position} is {name(values[position])}; send numbers from 0 to 255")
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        raise BadInput("a value is too large for a number; send pixel values from 0 to 255") from None


def _count(shape: tuple[int, ...]) -> int:
    return 1 if shape in _SINGLE_IMAGE else shape[0]
