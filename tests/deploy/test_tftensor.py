"""TensorProto without TensorFlow: every number type, as bytes and as values, as JSON; and what is refused."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.fashion_classifier import tftensor
from deploy.fashion_classifier.errors import BadInput

PIXELS = (np.arange(784) * 11 % 256).astype(np.uint8)
TYPES = {
    "DT_FLOAT": ("<f4", "floatVal", 1),
    "DT_DOUBLE": ("<f8", "doubleVal", 2),
    "DT_INT32": ("<i4", "intVal", 3),
    "DT_UINT8": ("u1", "intVal", 4),
    "DT_INT16": ("<i2", "intVal", 5),
    "DT_INT64": ("<i8", "int64Val", 9),
    "DT_UINT16": ("<u2", "intVal", 17),
    "DT_UINT32": ("<u4", "uint32Val", 22),
    "DT_UINT64": ("<u8", "uint64Val", 23),
}
SHAPE = {"dim": [{"size": "28"}, {"size": "28"}]}


def proto(**fields: Any) -> dict[str, Any]:
    return {"dtype": "DT_UINT8", "tensorShape": SHAPE, **fields}


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_is_read_from_bytes_and_from_values(dtype: str) -> None:
    code, field, number = TYPES[dtype]
    content = encoded(PIXELS.astype(code).tobytes())
    values: list[Any] = PIXELS.tolist()
    for tensor in (
        proto(dtype=dtype, tensorContent=content),
        proto(dtype=number, tensorContent=content),
        proto(dtype=dtype, **{field: values}),
        proto(dtype=dtype, **{field: list(map(str, values))}),
        {"dtype": dtype, "tensor_shape": {"dim": [{"size": 1}, {"size": 784}]}, "tensor_content": content},
    ):
        assert np.array_equal(tftensor.from_json(tensor).ravel(), PIXELS)


def test_the_last_value_fills_up_what_is_missing() -> None:
    images = tftensor.from_json(proto(intVal=[1, 2, 9]))
    assert images.ravel()[:5].tolist() == [1, 2, 9, 9, 9]


def test_an_answer_can_be_read_back() -> None:
    rows = np.random.default_rng(3).random((2, 10), dtype=np.float32)
    tensor = tftensor.to_json(rows)
    assert tensor["tensorShape"] == {"dim": [{"size": "2"}, {"size": "10"}]}
    assert np.array_equal(np.frombuffer(base64.b64decode(tensor["tensorContent"]), "<f4").reshape(2, 10), rows)


WRONG: list[tuple[Any, str]] = [
    ([], '"tftensor" is a list'),
    ({}, '"dtype"'),
    (proto(dtype="DT_STRING"), '"dtype"'),
    (proto(dtype=True), '"dtype"'),
    (proto(dtype=[1]), '"dtype"'),
    (proto(tensorShape=None), '"tensorShape" must look like'),
    (proto(tensorShape={"dim": [{"size": 28.0}, {"size": 28}]}), '"tensorShape" must look like'),
    (proto(tensorShape={"dim": [{"size": "9" * 5000}, {"size": 28}]}), '"tensorShape" must look like'),
    (proto(tensorShape={"dim": [{"size": -1}, {"size": 28}]}), '"tensorShape" must look like'),
    (proto(tensorShape={"dim": [{"size": 3}]}), "not one of"),
    (proto(), "found 0 values"),
    (proto(intVal=[0] * 785), "found 785 values"),
    (proto(intVal=7), '"intVal" is int'),
    (proto(intVal=[True]), "value 0 is true or false"),
    (proto(intVal=["1.5"]), "value 0 is a string"),
    (proto(intVal=[0, 256]), "value 1 is 256"),
    (proto(dtype="DT_FLOAT", floatVal=[10**400]), "too large"),
    (proto(dtype="DT_FLOAT", floatVal=[0.5, 0.25]), "0-1"),
    (proto(tensorContent=encoded(bytes(783))), "needs 784 bytes of tensorContent; found 783"),
    (proto(dtype="DT_FLOAT", tensorContent=encoded(np.full(784, np.nan, "<f4").tobytes())), "value 0 is nan"),
    (proto(dtype="DT_INT8", tensorContent=encoded(b"\xff" * 784)), "value 0 is -1"),
    (proto(tensorContent="?"), '"tensorContent" is not base64'),
    (proto(tensorContent=7), '"tensorContent" is int'),
]


@pytest.mark.parametrize(("tensor", "words"), WRONG, ids=[words for _, words in WRONG])
def test_a_wrong_tensor_is_refused_with_what_is_wrong(tensor: Any, words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        tftensor.from_json(tensor)
    assert words in str(refusal.value)


@given(
    st.sampled_from([*TYPES, "DT_INT8"]),
    st.binary(max_size=64) | st.binary(min_size=784, max_size=784),
    st.lists(st.integers() | st.floats() | st.text(max_size=3), max_size=4),
)
def test_any_content_is_images_or_bad_input(dtype: str, content: bytes, values: list[Any]) -> None:
    fields = {field: values for _, field, _ in TYPES.values()}
    try:
        images = tftensor.from_json(proto(dtype=dtype, tensorContent=encoded(content), **fields))
    except BadInput:
        return
    assert images.shape == (1, 28, 28)
    assert images.dtype == np.uint8
