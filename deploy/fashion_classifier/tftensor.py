"""TensorFlow's TensorProto without TensorFlow, as JSON and as protobuf.

Facts of the format are those of tensorflow/core/framework/tensor.proto and types.proto: the pixels stand in
`tensor_content` (little-endian, row order) or in the repeated field of their dtype, whose last value fills up what is
missing.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import binary
from .errors import BadInput
from .pixels import SHAPES, Images, check_shape, name, to_images

FLOAT = 1


class _Type(NamedTuple):
    number: int
    dtype: str
    field: str


_TYPES = {
    "DT_FLOAT": _Type(FLOAT, "<f4", "float_val"),
    "DT_DOUBLE": _Type(2, "<f8", "double_val"),
    "DT_INT32": _Type(3, "<i4", "int_val"),
    "DT_UINT8": _Type(4, "u1", "int_val"),
    "DT_INT16": _Type(5, "<i2", "int_val"),
    "DT_INT8": _Type(6, "i1", "int_val"),
    "DT_INT64": _Type(9, "<i8", "int64_val"),
    "DT_UINT16": _Type(17, "<u2", "int_val"),
    "DT_UINT32": _Type(22, "<u4", "uint32_val"),
    "DT_UINT64": _Type(23, "<u8", "uint64_val"),
}
_SIZE = re.compile("[0-9]{1,9}")
_INTEGER = re.compile("-?[0-9]{1,20}")
_BY_NUMBER = {each.number: each for each in _TYPES.values()}


def from_json(tensor: object) -> Images:
    """Images of a TensorProto in protobuf's JSON form.  Raises BadInput."""
    if not isinstance(tensor, Mapping):
        raise BadInput(f'"tftensor" is {name(tensor)}; send an object with "dtype", "tensorShape" and "tensorContent"')
    kind = _kind(tensor.get("dtype"))
    content = _field(tensor, "tensor_content")
    values = _field(tensor, kind.field)
    if values is not None and not isinstance(values, list):
        raise BadInput(f'"{_camel(kind.field)}" is {name(values)}; send a list of numbers')
    return _images(
        kind, _json_shape(_field(tensor, "tensor_shape")), binary.decoded(content or "", "tensorContent"), values or []
    )


def from_protobuf(tensor: Any) -> Images:
    """Images of a TensorProto.  Raises BadInput."""
    kind = _kind(tensor.dtype)
    shape = tuple(dimension.size for dimension in tensor.tensor_shape.dim)
    content = tensor.tensor_content
    return _images(kind, shape, content, () if content else getattr(tensor, kind.field))


def to_json(array: npt.NDArray[np.float32]) -> dict[str, Any]:
    """A float32 array as a TensorProto in protobuf's JSON form."""
    return {
        "dtype": "DT_FLOAT",
        "tensorShape": {"dim": [{"size": str(size)} for size in array.shape]},
        "tensorContent": base64.b64encode(array.astype("<f4").tobytes()).decode(),
    }


def describe(shape: Sequence[int], tensor: Any) -> None:
    """Make an empty TensorProto one of float32 with this shape; its `tensor_content` is missing still."""
    tensor.dtype = FLOAT
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)


def _kind(dtype: object) -> _Type:
    found = _TYPES.get(dtype) if isinstance(dtype, str) else _BY_NUMBER.get(dtype) if type(dtype) is int else None
    if found is None:
        raise BadInput(f'"dtype" of the tftensor must be one of {", ".join(_TYPES)}')
    return found


def _json_shape(shape: object) -> tuple[int, ...]:
    """Sizes are 64 bit, so that protobuf writes them as strings and reads both."""
    dimensions = shape.get("dim") if isinstance(shape, Mapping) else None
    sizes = [each.get("size") if isinstance(each, Mapping) else None for each in _list(dimensions)]
    if not sizes or not all(type(size) in (int, str) and _SIZE.fullmatch(str(size)) for size in sizes):
        raise BadInput(f'"tensorShape" must look like {{"dim": [{{"size": "28"}}, {{"size": "28"}}]}}: {SHAPES}')
    return tuple(int(str(size)) for size in sizes)


def _images(kind: _Type, shape: tuple[int, ...], content: bytes, values: Sequence[Any]) -> Images:
    check_shape(shape)
    size = math.prod(shape)
    if content:
        if len(content) != size * np.dtype(kind.dtype).itemsize:
            raise BadInput(
                f"shape {list(shape)} of {kind.dtype.lstrip('<')} needs {size * np.dtype(kind.dtype).itemsize} bytes "
                f"of tensorContent; found {len(content)}"
            )
        return to_images(np.frombuffer(content, kind.dtype), shape)
    if not 1 <= len(values) <= size:
        raise BadInput(
            f'shape {list(shape)} needs {size} values in "{_camel(kind.field)}", or all of them as bytes in '
            f'"tensorContent"; found {len(values)} values'
        )
    numbers = _numbers(values)
    return to_images(np.pad(numbers, (0, size - len(numbers)), "edge"), shape)


def _numbers(values: Sequence[Any]) -> npt.NDArray[np.float64]:
    """64-bit integers are strings in protobuf's JSON."""
    for position, value in enumerate(values):
        if type(value) not in (int, float) and not (isinstance(value, str) and _INTEGER.fullmatch(value)):
            raise BadInput(f"value {position} is {name(value)}; send numbers from 0 to 255")
    try:
        return np.array([float(value) for value in values])
    except OverflowError:
        raise BadInput("a value is too large for a number; send pixel values from 0 to 255") from None


def _field(tensor: Mapping[str, Any], field: str) -> Any:
    """Protobuf reads a field by its name in JSON and by its own."""
    return tensor.get(_camel(field), tensor.get(field))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _camel(field: str) -> str:
    first, *others = field.split("_")
    return first + "".join(map(str.capitalize, others))
