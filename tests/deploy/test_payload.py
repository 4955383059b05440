"""Whatever a client sends is either images or a BadInput that says what is wrong."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.fashion_classifier import picture
from deploy.fashion_classifier.errors import BadInput
from deploy.fashion_classifier.payload import Request, parse
from deploy.fashion_classifier.pixels import MAX_IMAGES

SHAPES = [[28, 28], [784], [1, 784], [3, 28, 28], [3, 28, 28, 1], [3, 784], [28, 28, 28]]


def pixels(shape: list[int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return (np.arange(math.prod(shape)) * 7 % 256).astype(np.uint8).reshape(shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["tensor", "ndarray"])
def test_every_documented_shape_gives_the_same_pixels_in_order(shape: list[int], kind: str) -> None:
    values = pixels(shape)
    tensor = {"shape": shape, "values": values.ravel().tolist()}
    request = parse({"data": {"tensor": tensor} if kind == "tensor" else {"ndarray": values.tolist()}})
    assert request.kind == kind
    assert request.images.dtype == np.uint8
    assert request.images.shape[1:] == (28, 28)
    assert np.array_equal(request.images.ravel(), values.ravel())


def test_floats_are_rounded_to_the_nearest_pixel_value() -> None:
    values = [0.4, 0.6, 254.6, 200.0] * 196
    images = parse({"data": {"tensor": {"shape": [28, 28], "values": values}}}).images
    assert images.ravel()[:4].tolist() == [0, 1, 255, 200]


def test_images_scaled_to_one_are_refused_but_nearly_black_ones_are_not() -> None:
    with pytest.raises(BadInput, match="0-1"):
        parse({"data": {"tensor": {"shape": [28, 28], "values": [0.5, 1.0] * 392}}})
    assert parse({"data": {"tensor": {"shape": [28, 28], "values": [0.0, 1.0] * 392}}}).images.max() == 1


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def tensor(values: Any, shape: Any = (28, 28)) -> dict[str, Any]:
    return {"data": {"tensor": {"shape": list(shape) if isinstance(shape, tuple) else shape, "values": values}}}


WRONG: list[tuple[Any, str]] = [
    (None, "null"),
    ([], "a list"),
    ({}, 'no "data"'),
    ({"data": None}, "null"),
    ({"data": {}}, "found none of them"),
    ({"data": {"tensor": {"shape": [784], "values": []}, "ndarray": []}}, '"tensor" and "ndarray"'),
    ({"customData": {}}, '"customData" is not served'),
    ({"strData": "", "binData": ""}, '"binData" and "strData"; send one'),
    ({"binData": 7}, '"binData" is int'),
    ({"binData": "x"}, '"binData" is not base64'),
    ({"binData": "\u00e4" * 4}, '"binData" is not base64'),
    ({"binData": ""}, "0 bytes that are no picture"),
    ({"strData": "AAAA"}, "3 bytes that are no picture"),
    ({"strData": "data:text/plain,AAAA"}, "data URL without base64"),
    ({"strData": encoded(bytes(784 * (MAX_IMAGES + 1)))}, f"at most {MAX_IMAGES}"),
    ({"jsonData": "x"}, '"jsonData" is a string'),
    ({"jsonData": {}}, "found none of them"),
    ({"jsonData": [[1, 2]]}, "not one of"),
    ({"data": {"names": "x", "tensor": {}}}, '"names"'),
    ({"data": {"tensor": {"values": [0] * 784}}}, '"shape" and "values"'),
    ({"data": {"tensor": [0] * 784}}, '"shape" and "values"'),
    (tensor([0] * 784, "28x28"), "list of integers"),
    (tensor([0] * 784, [28.0, 28.0]), "list of integers"),
    (tensor([0] * 784, [True, 784]), "list of integers"),
    (tensor([0] * 783), "needs 784 values; found 783"),
    (tensor([0] * 784, (14, 56)), "not one of"),
    (tensor([], (0, 28, 28)), "no image"),
    (tensor([0] * 784, (-1, -784)), "not one of"),
    (tensor([0] * 784, (-1, 784)), "no image"),
    (tensor([], (MAX_IMAGES + 1, 784)), f"at most {MAX_IMAGES}"),
    (tensor("0" * 784), "a string"),
    (tensor([0] * 783 + ["1"]), "value 783 is a string"),
    (tensor([True] + [0] * 783), "value 0 is true or false"),
    (tensor([None] + [0] * 783), "value 0 is null"),
    (tensor([0] * 783 + [256]), "value 783 is 256"),
    (tensor([-1] + [0] * 783), "value 0 is -1"),
    (tensor([float("nan")] + [0] * 783), "value 0 is nan"),
    (tensor([float("inf")] + [0] * 783), "value 0 is inf"),
    (tensor([10**400] + [0] * 783), "too large"),
    ({"data": {"ndarray": 5}}, '"ndarray" is int'),
    ({"data": {"ndarray": []}}, "not one of"),
    ({"data": {"ndarray": [[]]}}, "not one of"),
    ({"data": {"ndarray": [[0] * 28] * 27 + [[0] * 27]}}, "ragged in dimension 1"),
    ({"data": {"ndarray": [[0] * 28] * 27 + [0]}}, "ragged in dimension 1"),
    ({"data": {"ndarray": [[[[[0]]]]]}}, "more than four dimensions"),
    ({"data": {"ndarray": [[{}] * 28] * 28}}, "value 0 is an object"),
]


@pytest.mark.parametrize(("message", "words"), WRONG, ids=[words for _, words in WRONG])
def test_a_wrong_payload_is_refused_with_what_is_wrong(message: Any, words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse(message)
    assert words in str(refusal.value)


DATA = ["data", "tensor", "ndarray", "shape", "values", "names", "meta", "binData", "strData", "jsonData"]
TFTENSOR = ["tftensor", "dtype", "tensorShape", "tensorContent", "intVal", "dim", "size"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(DATA + TFTENSOR),
            inner,
        )
    ),
    max_leaves=12,
)
numbers = st.integers(-1, 256) | st.floats(-0.5, 255.5) | st.sampled_from([float("nan"), True, None, "7", 10**400])
messages = st.builds(
    lambda shape, filler, odd: tensor([filler] * (min(math.prod(shape), 3000) - len(odd)) + odd, list(shape)),
    st.lists(st.sampled_from([-1, 0, 1, 2, 28, 784]), max_size=5),
    st.integers(0, 255),
    st.lists(numbers, max_size=2),
)


@given(json_values | st.fixed_dictionaries({"data": json_values}) | messages)
def test_any_json_is_valid_or_bad_input(message: Any) -> None:
    try:
        request = parse(message)
    except BadInput:
        return
    assert isinstance(request, Request)
    assert request.images.dtype == np.uint8
    assert request.images.shape == (len(request.images), 28, 28)
    assert 1 <= len(request.images) <= MAX_IMAGES


@given(st.binary(min_size=784, max_size=784).map(list), st.sampled_from([[28, 28], [1, 784], [1, 28, 28, 1]]))
def test_tensor_and_ndarray_read_the_same(values: list[int], shape: list[int]) -> None:
    nested = np.array(values).reshape(shape).tolist()
    assert np.array_equal(parse(tensor(values, shape)).images, parse({"data": {"ndarray": nested}}).images)


@pytest.mark.parametrize("count", [1, 3])
def test_raw_pixels_are_taken_as_they_are(count: int) -> None:
    values = pixels([count, 28, 28])
    standard = encoded(values.tobytes())
    forms = {
        "standard": standard,
        "URL-safe": base64.urlsafe_b64encode(values.tobytes()).decode(),
        "without padding": standard.rstrip("="),
        "in lines": base64.encodebytes(values.tobytes()).decode(),
        "data URL": "data:application/octet-stream;base64," + standard,
        "with parameters": "data:image/x-raw;name=shoe;base64," + standard,
    }
    for form, text in forms.items():
        for field in ("binData", "strData"):
            request = parse({field: text})
            assert np.array_equal(request.images, values), form
            assert (request.kind, request.payload) == ("tensor", field)
    assert np.array_equal(parse({"binData": standard.encode()}).images, values)


def test_json_data_is_lists_or_what_could_stand_as_data() -> None:
    values = pixels([2, 28, 28])
    shape = {"dim": [{"size": 2}, {"size": 28}, {"size": 28}]}
    tftensor = {"dtype": "DT_UINT8", "tensorShape": shape, "tensorContent": encoded(values.tobytes())}
    for content in (
        values.tolist(),
        {"ndarray": values.tolist()},
        tensor(values.ravel().tolist(), [2, 28, 28])["data"],
        {"tftensor": tftensor},
    ):
        request = parse({"jsonData": content})
        assert np.array_equal(request.images, values)
        assert (request.kind, request.payload) == ("tensor", "jsonData")


@given(st.binary(max_size=2000) | st.binary(min_size=784, max_size=784), st.sampled_from(["binData", "strData"]))
def test_any_bytes_are_images_or_bad_input(content: bytes, field: str) -> None:
    try:
        request = parse({field: encoded(content)})
    except BadInput:
        assert len(content) % 784 or not content or picture.is_picture(content)
        return
    assert request.images.shape == (len(request.images), 28, 28)


@given(st.text(max_size=40))
def test_any_text_is_base64_or_bad_input(text: str) -> None:
    with pytest.raises(BadInput):
        parse({"strData": text})
