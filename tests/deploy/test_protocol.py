"""Each payload over REST and gRPC to the genuine seldon-core-microservice: the answer, its kind, and refusals."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from deploy.fashion_classifier.model import Classifier
from tests.deploy import grpc_client
from tests.deploy.microservice import Microservice
from tests.deploy.tiny_model import LABELS

pytestmark = pytest.mark.xdist_group("microservice")

IMAGES = np.random.default_rng(4).integers(0, 256, (2, 28, 28), dtype=np.uint8)
IMAGES[:, ::27, ::27] = 0
URL = "/api/v1.0/predictions"


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def png(image: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


SHAPE = {"dim": [{"size": "2"}, {"size": "28"}, {"size": "28"}]}
TFTENSOR = {"dtype": "DT_UINT8", "tensorShape": SHAPE, "tensorContent": encoded(IMAGES.tobytes())}
MESSAGES: dict[str, tuple[dict[str, Any], str, int]] = {
    "tensor": ({"data": {"tensor": {"shape": [2, 28, 28], "values": IMAGES.ravel().tolist()}}}, "tensor", 2),
    "ndarray": ({"data": {"ndarray": IMAGES.tolist()}}, "ndarray", 2),
    "tftensor": ({"data": {"tftensor": TFTENSOR}}, "tftensor", 2),
    "tftensor of values": (
        {"data": {"tftensor": {"dtype": "DT_INT32", "tensorShape": SHAPE, "intVal": IMAGES.ravel().tolist()}}},
        "tftensor",
        2,
    ),
    "binData, raw": ({"binData": encoded(IMAGES.tobytes())}, "tensor", 2),
    "binData, PNG": ({"binData": encoded(png(IMAGES[0]))}, "tensor", 1),
    "strData": ({"strData": "data:image/png;base64," + encoded(png(IMAGES[0]))}, "tensor", 1),
    "jsonData": ({"jsonData": IMAGES.tolist()}, "tensor", 2),
    "jsonData as data": (
        {"jsonData": {"tensor": {"shape": [2, 784], "values": IMAGES.ravel().tolist()}}},
        "tensor",
        2,
    ),
}


def probabilities(answer: Any, kind: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    data = answer["data"]
    assert set(data) == {"names", kind}
    assert data["names"] == LABELS
    if kind == "ndarray":
        return np.array(data["ndarray"])
    if kind == "tensor":
        return np.array(data["tensor"]["values"]).reshape([int(size) for size in data["tensor"]["shape"]])
    tensor = data["tftensor"]
    assert tensor["dtype"] == "DT_FLOAT"
    content = np.frombuffer(base64.b64decode(tensor["tensorContent"]), "<f4").astype(np.float64)
    return content.reshape([int(each["size"]) for each in tensor["tensorShape"]["dim"]])


@pytest.mark.parametrize("name", MESSAGES)
def test_rest_answers_each_payload_in_the_kind_that_seldon_gives(
    microservice: Microservice, classifier: Classifier, name: str
) -> None:
    message, kind, count = MESSAGES[name]
    answer = microservice.post({**message, "meta": {"puid": "p"}})
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(probabilities(answer.json(), kind), classifier.probabilities(IMAGES[:count]), atol=1e-5)
    assert answer.json()["meta"]["puid"] == "p"


def test_files_are_uploaded_as_forms(microservice: Microservice, classifier: Classifier) -> None:
    def upload(**parts: Any) -> requests.Response:
        return requests.post(microservice.url + URL, files=parts, timeout=60)

    picture = ("image.png", png(IMAGES[0]), "image/png")
    expected = classifier.probabilities(IMAGES[:1])
    for answer in (
        upload(binData=picture, meta=(None, json.dumps({"puid": "upload"}))),
        upload(strData=(None, encoded(png(IMAGES[0]))), meta=(None, json.dumps({"puid": "upload"}))),
        upload(strData=("image.b64", encoded(png(IMAGES[0]))), meta=(None, json.dumps({"puid": "upload"}))),
    ):
        np.testing.assert_allclose(probabilities(answer.json(), "tensor"), expected, atol=1e-5)
        assert answer.json()["meta"]["puid"] == answer.headers["Seldon-Puid"] == "upload"
    for refused, words in (
        (upload(image=picture), "binData=@"),
        (upload(binData=("image.pdf", b"%PDF-1.7")), "no picture this server knows"),
        (upload(binData=("image.png", png(IMAGES[0])[:60])), "cannot be read"),
        (upload(binData=(None, "text")), "a form field is not JSON"),
    ):
        assert refused.status_code == 400
        assert words in refused.json()["status"]["info"]


def call(microservice: Microservice, *calls: tuple[str, Any]) -> list[dict[str, Any]]:
    """The answers of the microservice's gRPC service."""
    return grpc_client.call(f"127.0.0.1:{microservice.grpc}", *calls)


def test_grpc_answers_each_payload_in_the_kind_that_seldon_gives(
    microservice: Microservice, classifier: Classifier
) -> None:
    tags = {"client": "test", "nested": {"list": [1.5, "x", None, True]}}
    meta = {"puid": "p", "tags": tags, "requestPath": {"before": "x"}}
    answers = call(microservice, *(("Predict", {**message, "meta": meta}) for message, _, _ in MESSAGES.values()))
    for answer, (message, kind, count) in zip(answers, MESSAGES.values(), strict=True):
        assert "error" not in answer, answer
        np.testing.assert_allclose(probabilities(answer, kind), classifier.probabilities(IMAGES[:count]), atol=1e-5)
        assert answer["meta"]["puid"] == "p"
        assert answer["meta"]["tags"].items() >= {**tags, "model_version": "3"}.items()
        assert answer["meta"]["requestPath"] == {"before": "x", "fashion-classifier": "fashion-classifier:v3"}
        counted = {metric["key"]: metric for metric in answer["meta"]["metrics"]}
        assert counted["fashion_classifier_images"]["value"] == count
        assert counted["fashion_classifier_images"]["tags"]["payload"] in message | message.get("data", {})
        assert set(answer) == {"data", "meta"}


def test_calls_that_come_together_get_the_answers_that_each_gets_alone(
    microservice: Microservice, classifier: Classifier
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 1, 28, 28), dtype=np.uint8)
    messages = [{"binData": encoded(each.tobytes()), "meta": {"puid": str(n)}} for n, each in enumerate(images)]
    bad = {"binData": encoded(b"x")}
    answers = call(microservice, *(("Predict", each) for message in messages for each in (message, bad)))
    assert [answer.get("status") for answer in answers[1::2]] == ["INVALID_ARGUMENT"] * len(images)
    assert [answer["meta"]["puid"] for answer in answers[::2]] == [str(n) for n in range(len(images))]
    for answer, image in zip(answers[::2], images, strict=True):
        np.testing.assert_array_equal(probabilities(answer, "tensor"), classifier.probabilities(image))
    for answer, message in zip(answers[:100:2], messages, strict=False):
        assert answer["meta"]["tags"] == microservice.post(message).json()["meta"]["tags"]


def test_an_answer_says_of_each_image_whether_it_is_an_outlier(microservice: Microservice) -> None:
    images = np.stack([IMAGES[0], np.zeros((28, 28), np.uint8), 255 - np.triu(IMAGES[1])])
    messages = [{"binData": encoded(each.tobytes())} for each in (images[0], images[1], images)]
    rest = [microservice.post(message).json()["meta"]["tags"] for message in messages]
    grpc = [answer["meta"]["tags"] for answer in call(microservice, *(("Predict", each) for each in messages))]
    noise, blank, several = ((tags["outlier"], tags["outlier_score"]) for tags in rest)
    assert noise[0] is False
    assert 0 < noise[1] <= 1
    assert blank == (True, 10)
    assert several[0] == [False, True, True]
    assert several[1] == [noise[1], 10, pytest.approx(several[1][2])]
    assert [(tags["outlier"], tags["outlier_score"]) for tags in grpc] == [noise, blank, several]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, 'no "data"'),
    ({"data": {"names": ["a"]}}, "none of them"),
    ({"data": {"tensor": {"shape": [2], "values": [1, 2]}}}, "shape [2] is not one of"),
    ({"data": {"ndarray": [["1"] * 28] * 28}}, "value 0 is a string"),
    ({"data": {"ndarray": [["NaN"]]}}, "not one of"),
    ({"data": {"tftensor": {}}}, '"dtype"'),
    ({"data": {"tftensor": {**TFTENSOR, "dtype": "DT_FLOAT"}}}, "bytes of tensorContent"),
    ({"binData": encoded(b"x")}, "1 bytes that are no picture"),
    ({"strData": "x"}, "not base64"),
    ({"jsonData": None}, '"jsonData" is null'),
    ({"jsonData": {"a": 1}}, "none of them"),
    ({"customData": {"@type": "type.googleapis.com/google.protobuf.Empty"}}, '"customData"'),
]


def test_grpc_says_what_is_wrong(microservice: Microservice) -> None:
    answers = call(microservice, *(("Predict", message) for message, _ in REFUSED))
    for answer, (message, words) in zip(answers, REFUSED, strict=True):
        assert words in answer.get("error", ""), (message, answer)
        assert answer["status"] == "INVALID_ARGUMENT"


def test_grpc_repeats_the_words_of_rest(microservice: Microservice) -> None:
    feedback = {"request": {"strData": "x"}}
    answers = call(microservice, *(("Predict", message) for message, _ in REFUSED[1:4]), ("SendFeedback", feedback))
    told = [microservice.post(message) for message, _ in REFUSED[1:4]]
    told.append(microservice.post(feedback, "/api/v1.0/feedback"))
    assert [answer["error"] for answer in answers] == [answer.json()["status"]["info"] for answer in told]


def test_grpc_takes_what_fits_into_4_mib(microservice: Microservice) -> None:
    most, more = (("Predict", {"binData": encoded(bytes(784 * count))}) for count in (5_349, 5_350))
    taken, refused = call(microservice, most, more)
    assert len(taken["data"]["tensor"]["values"]) == 53_490
    assert refused["status"] == "RESOURCE_EXHAUSTED"


def test_grpc_takes_feedback_and_tells_the_metadata(microservice: Microservice) -> None:
    feedback = {"request": MESSAGES["binData, PNG"][0], "reward": 1}
    metadata, taken, refused = call(
        microservice, ("ModelMetadata", {}), ("SendFeedback", feedback), ("SendFeedback", {"request": {"strData": "x"}})
    )
    assert metadata["name"] == "fashion-classifier"
    assert metadata["versions"] == ["3"]
    assert taken["meta"]["tags"]["model_version"] == "3"
    assert "not base64" in refused["error"]
    assert refused["status"] == "INVALID_ARGUMENT"
