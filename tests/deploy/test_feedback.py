"""Whatever is said about an answer becomes lines that the pipeline accepts, or a BadInput that says what to send."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalog import CLASS_NAMES
from deploy.fashion_classifier import feedback, tftensor
from deploy.fashion_classifier.errors import BadInput
from pipelines.feedback import collect

IMAGES = np.arange(2 * 784).reshape(2, 28, 28) % 251
PUID = "91037d5aca774b5e869eace6dce3185b"
META: dict[str, Any] = {"puid": PUID, "tags": {"model_version": "3", "model_name": "x"}}


def request(count: int = 1) -> dict[str, Any]:
    return {"data": {"ndarray": np.resize(IMAGES, (count, 28, 28)).tolist()}}


def one_hot(label: int, total: float = 1.0) -> list[float]:
    return [total if each == label else 0.0 for each in range(10)]


def response(*labels: int, **meta: Any) -> dict[str, Any]:
    rows = [one_hot(label, 0.9) for label in labels]
    return {"data": {"names": list(CLASS_NAMES), "ndarray": rows}, "meta": {**META, **meta}}


def told(truth: Any, *labels: int) -> feedback.Feedback:
    message = {"request": request(len(labels)), "response": response(*labels), "truth": truth}
    found = feedback.read(message, CLASS_NAMES)
    assert found is not None
    return found


ONE = [
    {"strData": "Coat"},
    {"strData": " coat "},
    {"jsonData": "Coat"},
    {"jsonData": 4.0},
    {"jsonData": [4]},
    {"jsonData": one_hot(4)},
    {"data": {"ndarray": [4]}},
    {"data": {"ndarray": [[4]]}},
    {"data": {"ndarray": ["Coat"]}},
    {"data": {"ndarray": one_hot(4)}},
    {"data": {"ndarray": [[0.1, 0, 0, 0, 0.8, 0, 0, 0, 0.1, 0]]}},
    {"data": {"tensor": {"shape": [1], "values": [4.0]}}},
    {"data": {"tensor": {"shape": [1, 1], "values": [4.0]}}},
    {"data": {"tensor": {"shape": [10], "values": one_hot(4)}}},
    {"data": {"tensor": {"shape": [1, 10], "values": one_hot(4)}}},
]


@pytest.mark.parametrize("truth", ONE, ids=str)
def test_every_documented_way_to_say_coat_is_class_4(truth: dict[str, Any]) -> None:
    found = told(truth, 6)
    assert (found.truths, found.answers) == ([4], [6])
    assert (found.model_version, found.puid) == ("3", META["puid"])


def test_an_answer_and_a_truth_may_be_tftensors() -> None:
    rows = np.array([one_hot(6, 0.9), one_hot(8, 0.9)], np.float32)
    answer = {**response(6, 8), "data": {"tftensor": tftensor.to_json(rows)}}
    truth = {"data": {"tftensor": tftensor.to_json(np.array([1, 8], np.float32))}}
    found = feedback.read({"request": request(2), "response": answer, "truth": truth}, CLASS_NAMES)
    assert found is not None
    assert (found.answers, found.truths) == ([6, 8], [1, 8])


@pytest.mark.parametrize("kind", ["ndarray", "tensor", "jsonData"])
def test_ten_numbers_for_ten_images_are_ten_classes(kind: str) -> None:
    classes = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    truths: dict[str, Any] = {
        "ndarray": {"data": {"ndarray": classes}},
        "tensor": {"data": {"tensor": {"shape": [10], "values": classes}}},
        "jsonData": {"jsonData": classes},
    }
    assert told(truths[kind], *range(10)).truths == classes


def test_a_line_is_what_the_pipeline_documents(tmp_path: Path) -> None:
    found = told({"data": {"ndarray": [1, "Bag"]}}, 6, 8)
    moment = datetime(2026, 11, 21, 11, 17, 14, tzinfo=UTC)
    (tmp_path / "a.jsonl").write_bytes(found.lines(moment))
    collected = collect(tmp_path, 10)
    assert not collected.rejected
    first, second = collected.valid
    assert base64.b64encode(first.image) == base64.b64encode(IMAGES[0].astype(np.uint8).tobytes())
    assert (first.answer, first.truth, second.answer, second.truth) == (6, 1, 8, 8)
    assert (first.model_version, first.time) == ("3", moment)
    assert [first.puid, second.puid] == [PUID + "/0", PUID + "/1"]
    assert told({"strData": "Bag"}, 6).lines().count(PUID.encode() + b'"') == 1


def test_counters_tell_class_shown_and_class_answered() -> None:
    counters = told({"data": {"ndarray": [1, 1, 8]}}, 6, 6, 8).metrics(CLASS_NAMES)
    assert [(each["tags"], each["value"]) for each in counters] == [
        ({"truth": "Trouser", "answer": "Shirt", "correct": "false"}, 2),
        ({"truth": "Bag", "answer": "Bag", "correct": "true"}, 1),
    ]


@pytest.mark.parametrize("truth", [None, {}, {"meta": {}}])
def test_a_reward_alone_is_no_feedback_to_store(truth: Any) -> None:
    assert feedback.read({"reward": 1, "truth": truth}, CLASS_NAMES) is None
    assert feedback.read({"request": request(), "truth": truth}, CLASS_NAMES) is None


NO_CLASS = [
    ({"jsonData": 10}, "no class from 0 to 9"),
    ({"jsonData": -1}, "no class from 0 to 9"),
    ({"jsonData": 1.5}, "no class from 0 to 9"),
    ({"jsonData": True}, "is not a class"),
    ({"jsonData": None}, "is not a class"),
    ({"jsonData": {"label": 3}}, "is not a class"),
    ({"strData": "Hat"}, "names the class 'Hat', which is none of T-shirt/top"),
    ({"data": {"ndarray": []}}, '"request" holds 1 images, "truth" 0 classes'),
    ({"data": {"ndarray": [1, 2]}}, '"request" holds 1 images, "truth" 2 classes'),
    ({"data": {"ndarray": [float("nan")]}}, "is not a class"),
    ({"data": {"ndarray": [[0.5, 0.5] + [0] * 8]}}, "one highest value"),
    ({"data": {"ndarray": [[1] * 10]}}, "add up to 1"),
    ({"data": {"tensor": {"shape": [2], "values": [1]}}}, "the shape must fit"),
    ({"data": {"tensor": {"shape": [1, 1, 1], "values": [1]}}}, "the shape must fit"),
    ({"data": {"tensor": {"values": ["NaN"], "shape": [1]}}}, "names the class 'NaN'"),
    ({"data": {"tftensor": {}}}, "is not DT_FLOAT"),
    ({"data": {"tftensor": {**tftensor.to_json(np.zeros(1, np.float32)), "tensorContent": "AA=="}}}, "is not DT_FLOAT"),
    ({"data": {"tftensor": {**tftensor.to_json(np.zeros(1, np.float32)), "dtype": "DT_INT8"}}}, "is not DT_FLOAT"),
    ({"binData": "AAAA"}, "nothing that can be read"),
]


@pytest.mark.parametrize(("truth", "reason"), NO_CLASS, ids=str)
def test_a_truth_that_is_no_class_is_refused_with_what_to_send(truth: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        told(truth, 6)


def changed(part: str, value: Any) -> dict[str, Any]:
    return {"request": request(), "response": response(6), "truth": {"strData": "Bag"}} | {part: value}


CONTRADICTIONS = [
    (changed("request", {}), 'no "request"'),
    (changed("request", {"data": {"ndarray": np.full((28, 28), 7).tolist()}}), "one grey value"),
    (changed("request", {"data": {"ndarray": [[1]]}}), "shape"),
    (changed("response", {}), '"response" holds nothing'),
    (changed("response", {"status": {"code": 500}}), '"response" holds nothing'),
    (changed("response", {"data": {"ndarray": [[0.5, 0.5]]}, "meta": META}), "10 probabilities for each image"),
    (changed("response", {"data": {"ndarray": [["NaN"] * 10]}, "meta": META}), "10 probabilities for each image"),
    (changed("response", response(6, 6)), '"request" holds 1 images, "response" answers 2'),
    (changed("response", {**response(6), "meta": {}}), "meta.tags.model_version"),
    (changed("response", response(6, tags={"model_version": 3.0})), "meta.tags.model_version"),
    (changed("response", response(6, puid="")), "meta.puid"),
    (changed("response", response(6, puid="\u2028")), "meta.puid"),
    (changed("response", {"data": {"names": ["a", "b"], "ndarray": [one_hot(1)]}, "meta": META}), "other classes"),
]


@pytest.mark.parametrize(("message", "reason"), CONTRADICTIONS, ids=[reason for _, reason in CONTRADICTIONS])
def test_what_is_missing_or_contradicts_itself_is_refused(message: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        feedback.read(message, CLASS_NAMES)


SCRAPS = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-2, 12)
    | st.sampled_from([*CLASS_NAMES, "", "\ud800", "NaN"]),
    lambda inner: st.lists(inner, max_size=10) | st.dictionaries(st.sampled_from(["data", "values", "shape"]), inner),
    max_leaves=12,
)
DATA = st.fixed_dictionaries({}, optional={"ndarray": st.lists(SCRAPS, max_size=10), "names": st.lists(st.text())})
SELDON = st.fixed_dictionaries(
    {}, optional={"data": DATA, "strData": st.text(), "jsonData": SCRAPS, "binData": st.text()}
)
ANSWER = st.one_of(
    SELDON,
    st.lists(st.integers(0, 9), min_size=1, max_size=3).map(lambda labels: response(*labels)),
    st.just(response(1)),
)


@given(
    st.integers(1, 3), ANSWER, SELDON | st.lists(st.integers(-1, 10)).map(lambda given: {"data": {"ndarray": given}})
)
def test_any_message_gives_lines_for_the_pipeline_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, count: int, answer: Any, truth: Any
) -> None:
    try:
        found = feedback.read({"request": request(count), "response": answer, "truth": truth}, CLASS_NAMES)
    except BadInput:
        return
    if found is None:
        return
    folder = tmp_path_factory.mktemp("feedback", numbered=True)
    (folder / "a.jsonl").write_bytes(found.lines())
    collected = collect(folder, 10)
    assert not collected.rejected
    assert [each.truth for each in collected.valid] == found.truths
    assert len(collected.valid) == count
