"""Reads a Seldon request's `data` into images, or says what is wrong with it and what to send.

Seldon's own conversion (`np.array(...).reshape(...)`) turns a client's mistake into a 500, reads `true` as 1 and
takes strings; so the payload is checked here before NumPy sees it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain
from typing import Any, Literal, NamedTuple

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
_UNSUPPORTED = ("tftensor", "binData", "strData", "jsonData", "customData")
_JSON_TYPES = {str: "a string", bool: "true or false", type(None): "null", dict: "an object", list: "a list"}

Images = npt.NDArray[np.uint8]
Kind = Literal["tensor", "ndarray"]


class Request(NamedTuple):
    """One prediction request: images uint8 [n, 28, 28], and the kind in which the answer is expected."""

    images: Images
    kind: Kind


def parse(message: object) -> Request:
    """Read a decoded Seldon message.  Raises BadInput, and nothing else, for whatever cannot be read."""
    if not isinstance(message, Mapping):
        raise BadInput(f'the body is {_name(message)}; send an object: {{"data": {{"tensor": ...}}}}')
    if "data" not in message:
        for field in _UNSUPPORTED:
            if field in message:
                raise BadInput(f'"{field}" is not served; send "data" with "tensor" or "ndarray"')
        raise BadInput('there is no "data"; send {"data": {"tensor": {"shape": [28,28], "values": [...]}}}')
    data = message["data"]
    if not isinstance(data, Mapping):
        raise BadInput(f'"data" is {_name(data)}; send an object with "tensor" or "ndarray"')
    _check_names(data.get("names"))
    kinds = [kind for kind in ("tensor", "ndarray", "tftensor") if kind in data]
    if len(kinds) != 1 or kinds == ["tftensor"]:
        found = " and ".join(f'"{kind}"' for kind in kinds) or "neither"
        raise BadInput(f'"data" must hold either "tensor" or "ndarray"; found {found}')
    if kinds == ["tensor"]:
        return Request(_tensor(data["tensor"]), "tensor")
    return Request(_ndarray(data["ndarray"]), "ndarray")


def to_images(values: npt.NDArray[np.float64], shape: tuple[int, ...]) -> Images:
    """Pixels as uint8 [n, 28, 28]: rounded to the nearest integer, since the model was trained on 0 to 255.

    Raises BadInput for NaN, values outside 0 to 255, and images that are plainly scaled to 0 to 1: rounding those
    would give an almost black image and a confident wrong answer.
    """
    if not np.isfinite(values).all():
        position = int(np.flatnonzero(~np.isfinite(values))[0])
        raise BadInput(f"value {position} is {values[position]}; send pixel values from 0 to 255")
    if values.min() < 0 or values.max() > 255:
        position = int(np.flatnonzero((values < 0) | (values > 255))[0])
        raise BadInput(f"value {position} is {values[position]:g}; send pixel values from 0 to 255")
    rounded = np.rint(values)
    if values.max() <= 1 and (rounded != values).any():
        raise BadInput("the pixel values look scaled to 0-1; send them from 0 to 255, without normalisation")
    return rounded.astype(np.uint8).reshape(_count(shape), SIDE, SIDE)


def _tensor(tensor: object) -> Images:
    if not isinstance(tensor, Mapping) or not {"shape", "values"} <= tensor.keys():
        raise BadInput('"tensor" must be an object with "shape" and "values"')
    shape, values = tensor["shape"], tensor["values"]
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise BadInput(f'"shape" must be a list of integers: {SHAPES}')
    if not isinstance(values, list):
        raise BadInput(f'"values" is {_name(values)}; send one flat list of numbers in row order')
    sizes = tuple(shape)
    _check_shape(sizes)
    if math.prod(sizes) != len(values):
        raise BadInput(f"shape {shape} needs {math.prod(sizes)} values; found {len(values)}")
    return to_images(_numbers(values), sizes)


def _ndarray(nested: object) -> Images:
    if not isinstance(nested, list):
        raise BadInput(f'"ndarray" is {_name(nested)}; send nested lists of shape {SHAPES}')
    sizes: tuple[int, ...] = (len(nested),)
    level = nested
    while level and any(type(item) is list for item in level):
        if len(sizes) == 4:
            raise BadInput(f'"ndarray" has more than four dimensions; send {SHAPES}')
        lengths = {len(item) if type(item) is list else -1 for item in level}
        if len(lengths) != 1:
            raise BadInput(f'"ndarray" is ragged in dimension {len(sizes)}: its parts differ in length; send {SHAPES}')
        sizes += (lengths.pop(),)
        level = list(chain.from_iterable(level))
    _check_shape(sizes)
    return to_images(_numbers(level), sizes)


def _numbers(values: list[Any]) -> npt.NDArray[np.float64]:
    if not {type(value) for value in values} <= {int, float}:
        position = next(i for i, value in enumerate(values) if type(value) not in (int, float))
        raise BadInput(f"value {position} is {_name(values[position])}; send numbers from 0 to 255")
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        raise BadInput("a value is too large for a number; send pixel values from 0 to 255") from None


def _check_shape(shape: tuple[int, ...]) -> None:
    if shape in _SINGLE_IMAGE:
        return
    if shape[1:] not in _IMAGE:
        raise BadInput(f"shape {list(shape)} is not one of {SHAPES}")
    if shape[0] < 1:
        raise BadInput(f"shape {list(shape)} holds no image; send at least one")
    if shape[0] > MAX_IMAGES:
        raise BadInput(f"{shape[0]} images in one request; send at most {MAX_IMAGES}")


def _count(shape: tuple[int, ...]) -> int:
    return 1 if shape in _SINGLE_IMAGE else shape[0]


def _check_names(names: object) -> None:
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise BadInput('"names" must be a list of strings; it may be left out')


def _name(value: object) -> str:
    return _JSON_TYPES.get(type(value), type(value).__name__)
