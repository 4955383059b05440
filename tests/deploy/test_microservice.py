"""The genuine seldon-core-microservice with two workers and four threads each, from the image's files."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.fashion_classifier.model import Classifier
from tests.deploy import grpc_client
from tests.deploy.conftest import CHECKPOINT
from tests.deploy.microservice import Microservice
from tests.deploy.tiny_model import LABELS

pytestmark = pytest.mark.xdist_group("microservice")

IMAGES = np.random.default_rng(9).integers(0, 256, (300, 28, 28), dtype=np.uint8)
V1 = "/api/v1.0/predictions"


def tensor(images: np.ndarray[Any, np.dtype[np.uint8]], **extra: Any) -> dict[str, Any]:
    return {"data": {"tensor": {"shape": list(images.shape), "values": images.ravel().tolist()}}, **extra}


def probabilities(answer: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    data = answer["data"]
    if "tensor" in data:
        return np.array(data["tensor"]["values"]).reshape(data["tensor"]["shape"])
    return np.array(data["ndarray"])


@pytest.mark.parametrize("kind", ["tensor", "ndarray"])
@pytest.mark.parametrize("shape", [[28, 28], [784], [5, 28, 28], [5, 28, 28, 1], [5, 784]], ids=str)
def test_answers_equal_the_model_for_every_shape_in_the_kind_of_the_request(
    microservice: Microservice, classifier: Classifier, shape: list[int], kind: str
) -> None:
    images = IMAGES[: 1 if shape in ([28, 28], [784]) else 5]
    data = tensor(images.reshape(shape))["data"] if kind == "tensor" else {"ndarray": images.reshape(shape).tolist()}
    answer = microservice.post({"data": {"names": ["feature1"], **data}}).json()
    assert answer["data"]["names"] == LABELS
    assert set(answer["data"]) == {"names", kind}
    np.testing.assert_allclose(probabilities(answer), classifier.probabilities(images), atol=1e-5)


def test_64_connections_get_right_answers_from_all_workers_and_threads(
    microservice: Microservice, classifier: Classifier
) -> None:
    expected = classifier.probabilities(IMAGES)

    def check(start: int) -> None:
        with requests.Session() as session:
            for index in range(start, len(IMAGES) - 7, 64):
                size = 1 + index % 7
                url = microservice.url + V1
                answer = session.post(url, json=tensor(IMAGES[index : index + size]), timeout=60).json()
                np.testing.assert_allclose(probabilities(answer), expected[index : index + size], atol=1e-5)

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(check, range(64)))


@pytest.mark.slow
def test_a_thousand_images_fit_into_one_request_as_numbers_and_the_whole_test_split_as_bytes(
    microservice: Microservice, classifier: Classifier
) -> None:
    images = np.tile(IMAGES, (34, 1, 1))[:10_000]
    expected = classifier.probabilities(images)
    answer = microservice.post({"binData": base64.b64encode(images.tobytes()).decode()}).json()
    np.testing.assert_allclose(probabilities(answer), expected, atol=1e-5)
    answer = microservice.post(tensor(images[:1000])).json()
    np.testing.assert_allclose(probabilities(answer), expected[:1000], atol=1e-5)


def test_meta_names_the_model_the_metrics_and_the_path(microservice: Microservice) -> None:
    message = tensor(IMAGES[0], meta={"puid": "mine", "tags": {"client": "test"}, "requestPath": {"before": "x"}})
    answer = microservice.post(message)
    meta = answer.json()["meta"]
    assert meta["puid"] == answer.headers["Seldon-Puid"] == "mine"
    assert meta["tags"] == {
        "client": "test",
        "model_name": "fashion-classifier",
        "model_version": "3",
        "checkpoint": CHECKPOINT,
        "data_commit": "5c1e0bd6ac1f4e2f9a0f3c1de7e0a111",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "experiment_id": "1",
        "trial_id": "2",
        "outlier": False,
        "outlier_score": meta["tags"]["outlier_score"],
    }
    assert meta["requestPath"] == {"before": "x", "fashion-classifier": "fashion-classifier:v3"}
    assert {metric["key"] for metric in meta["metrics"]} == {
        "fashion_classifier_images",
        "fashion_classifier_predictions",
        "fashion_classifier_outlier_scores",
        "fashion_classifier_inference_seconds",
        "fashion_classifier_request_seconds",
    }


def test_the_puid_comes_from_the_header_else_it_is_new(microservice: Microservice) -> None:
    given = microservice.post(tensor(IMAGES[0]), headers={"Seldon-Puid": "from-header"})
    assert given.json()["meta"]["puid"] == given.headers["Seldon-Puid"] == "from-header"
    made = [microservice.post(tensor(IMAGES[0])) for _ in range(2)]
    puids = {answer.json()["meta"]["puid"] for answer in made}
    assert len(puids) == 2
    assert {answer.headers["Seldon-Puid"] for answer in made} == puids


def test_prometheus_counts_the_images(microservice: Microservice) -> None:
    before = microservice.images()
    microservice.post(tensor(IMAGES[:7]))
    assert microservice.images() == before + 7


def test_form_fields_are_read_as_seldon_does(microservice: Microservice, classifier: Classifier) -> None:
    text = json.dumps(tensor(IMAGES[0]))
    url = microservice.url + V1
    urlencoded = requests.post(url, data={"json": text}, timeout=30)
    multipart = requests.post(url, files={"data": (None, json.dumps(tensor(IMAGES[0])["data"]))}, timeout=30)
    expected = classifier.probabilities(IMAGES[:1])
    for answer in (urlencoded, multipart):
        np.testing.assert_allclose(probabilities(answer.json()), expected, atol=1e-5)


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
GOOD = json.dumps(tensor(IMAGES[0]))
DEEP_TAGS = '{"meta": {"tags": {"a": ' + "[" * 260 + "]" * 260 + "}}"


def part(name: str, content: bytes, filename: str = "") -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n--x--\r\n"


REFUSED: dict[str, tuple[bytes, dict[str, str], str]] = {
    "empty body": (b"", JSON, "the body is empty"),
    "nothing at all": (b"", {}, "Content-Type is missing"),
    "broken JSON": (GOOD.encode()[:-1], JSON, "not JSON"),
    "NaN": (GOOD.replace("[28, 28]", "[28, 28]").replace('"values": [', '"values": [NaN,').encode(), JSON, "not JSON"),
    "not UTF-8": (b'{"data": "\xff"}', JSON, "not JSON"),
    "deep nesting": (b"[" * 100_000, JSON, "not JSON"),
    "null": (b"null", JSON, "JSON"),
    "a list": (b"[1]", JSON, "a list"),
    "a string": (b'"x"', JSON, "a string"),
    "plain text": (GOOD.encode(), {"Content-Type": "text/plain"}, "Content-Type is text/plain"),
    "curl without a header": (GOOD.encode(), FORM, "Content-Type is application/x-www-form-urlencoded"),
    "broken form field": (b"json={", FORM, "a form field is not JSON"),
    "deep form field": (b"json=" + b"[" * 100_000, FORM, "a form field is not JSON"),
    "NaN in a form": (b'json={"data":{"ndarray":[[' + b"NaN," * 783 + b"0]]}}", FORM, "value 0 is nan"),
    "a surrogate in a form": (b'json={"meta":{"tags":{"a":"\\ud800"}}}', FORM, "a form field is not JSON"),
    "a long number in a form": (b'json={"meta":{"tags":{"a":1' + b"0" * 30 + b"}}}", FORM, "a form field is not JSON"),
    "broken multipart field": (part("data", b"{"), MULTIPART, "a form field is not JSON"),
    "binary part": (part("binData", b"\x89PNG", "a.png"), MULTIPART, "no picture this server knows"),
    "text part": (part("strData", b"\xff\xfe", "a.txt"), MULTIPART, "a file that is no text"),
    "empty multipart": (b"--x--\r\n", MULTIPART, 'no "data"'),
    "missing data": (b"{}", JSON, 'no "data"'),
    "wrong count": (b'{"data":{"tensor":{"shape":[28,28],"values":[1,2]}}}', JSON, "needs 784 values; found 2"),
    "wrong shape": (b'{"data":{"tensor":{"shape":[2],"values":[1,2]}}}', JSON, "not one of"),
    "ragged": (b'{"data":{"ndarray":[[1,2],[3]]}}', JSON, "ragged"),
    "strings": (b'{"data":{"tensor":{"shape":[784],"values":[' + b'"1",' * 783 + b'"1"]}}}', JSON, "a string"),
    "empty batch": (b'{"data":{"tensor":{"shape":[0,28,28],"values":[]}}}', JSON, "no image"),
    "meta": (GOOD.replace('{"data"', '{"meta": 5, "data"', 1).encode(), JSON, '"meta" must be an object'),
    "deep tags": (
        GOOD.replace('{"data"', DEEP_TAGS + ', "data"', 1).encode(),
        JSON,
        '"meta.tags" is nested deeper than',
    ),
    "many numbers": (b"[" + b"1," * 1_000_000 + b"1]", JSON, "more than 1,000,000 values"),
    "many lists": (b"[" + b"[]," * 300_000 + b"[]]", JSON, "more than 300,000 lists, objects and strings"),
    "many lists in a form": (b"json=[" + b"[]," * 300_000 + b"[]]", FORM, "more than 300,000 lists"),
    "many strings": (b"[" + b'"a",' * 300_000 + b'"a"]', JSON, "more than 300,000 lists"),
    "puid": (GOOD.replace('{"data"', '{"meta": {"puid": "a\\nb"}, "data"', 1).encode(), JSON, "meta.puid"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("path", [V1, "/api/v0.1/predictions"])
def test_a_clients_mistake_is_400_with_what_is_wrong(microservice: Microservice, name: str, path: str) -> None:
    body, headers, words = REFUSED[name]
    answer = requests.post(microservice.url + path, data=body, headers=headers, timeout=30)
    status = answer.json()["status"]
    assert answer.status_code == 400, answer.text
    assert words in status["info"]
    assert {key: status[key] for key in ("status", "code", "reason")} == {
        "status": 1,
        "code": -1,
        "reason": "MICROSERVICE_BAD_DATA",
    }
    assert answer.headers["Seldon-Puid"]
    assert microservice.post(tensor(IMAGES[0])).ok


SCRAPS = ["null", "true", "-1", "1e999", "NaN", '"x"', '"\\ud800"', "[]", "{}", "[[]]", "9" * 30, "{", ",", ""]
TYPES = ["application/json", FORM["Content-Type"], MULTIPART["Content-Type"], "multipart/form-data", "text/plain", ";;"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([V1, "/predict", "/api/v1.0/feedback"]),
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(TYPES),
    st.sampled_from(["{}", "json={}", part("data", b"{}").decode(), part("meta", b"{}").decode()]),
    st.tuples(st.integers(0, 200), st.integers(0, 30), st.sampled_from(SCRAPS)),
    st.sampled_from(["", "", "?json={", "?json=1", "?x=1"]),
)
def test_no_body_makes_a_server_error(
    microservice: Microservice,
    path: str,
    method: str,
    content_type: str,
    form: str,
    cut: tuple[int, int, str],
    query: str,
) -> None:
    start, length, scrap = cut
    image = '{"shape":[28,28],"values":[' + "7," * 783 + "7]}"
    message = '{"meta":{"puid":"p","tags":{"a":1}},"data":{"names":["a"],"tensor":' + image + "}}"
    message = message[:start] + scrap + message[start + length :]
    if "feedback" in path:
        message = '{"reward":1,"request":' + message + "}"
    body = form.replace("{}", message).encode("utf-8", "surrogatepass")
    headers = {"Content-Type": content_type}
    answer = requests.request(method, microservice.url + path + query, data=body, headers=headers, timeout=30)
    assert answer.status_code in (200, 400, 405), answer.text


def chunks(size: int) -> Any:
    for _ in range(size // 2**20):
        yield b" " * 2**20


@pytest.mark.parametrize("announced", [True, False], ids=["content-length", "chunked"])
def test_an_oversized_body_is_413_and_a_large_one_is_read(microservice: Microservice, announced: bool) -> None:
    def post(megabytes: int) -> requests.Response:
        size = megabytes * 2**20
        data = b" " * size if announced else chunks(size)
        return requests.post(microservice.url + V1, data=data, headers=JSON, timeout=60)

    assert post(21).status_code == 413
    assert "20 MiB" in post(21).json()["status"]["info"]
    assert post(20).status_code == 400
    assert microservice.post(tensor(IMAGES[0])).ok


def test_feedback_is_acknowledged_and_a_broken_one_is_refused(microservice: Microservice) -> None:
    request = tensor(IMAGES[0])
    response = microservice.post(request).json()
    feedback = {"request": request, "response": response, "reward": 1.0, "truth": {"data": {"ndarray": [9]}}}
    answer = microservice.post(feedback, "/api/v1.0/feedback")
    assert answer.status_code == 200
    assert answer.json()["meta"]["tags"]["model_version"] == "3"
    assert answer.json()["meta"]["tags"]["feedback"].startswith("counted: nothing is stored here")
    broken: list[Any] = [{"request": {"data": {"tensor": {"shape": [3], "values": [1]}}}}, {"bogus": 1}, [1], 5]
    broken += [{"reward": "NaN"}, {"reward": True}, {"request": 5}, {"request": {"data": {"tensor": 1}}}]
    for message in broken:
        assert microservice.post(message, "/api/v1.0/feedback").status_code == 400


def test_deep_or_large_feedback_is_refused_and_what_fits_is_read(microservice: Microservice) -> None:
    def post(request: dict[str, Any]) -> tuple[int, str]:
        answer = microservice.post({"request": request}, "/api/v1.0/feedback")
        return answer.status_code, answer.json().get("status", {}).get("info", "taken")

    def nested(levels: int) -> Any:
        value: Any = []
        for _ in range(levels - 1):
            value = [value]
        return value

    assert post({"jsonData": nested(500)}) == (400, "the feedback is nested deeper than 100 levels; send it flatter")
    assert post({"meta": {"tags": {"a": nested(97)}}})[0] == 400
    assert post({"meta": {"tags": {"a": nested(96)}}}) == (200, "taken")
    assert post({"data": {"ndarray": IMAGES[:60].tolist()}}) == (200, "taken")
    status, info = post({"data": {"ndarray": IMAGES[:65].tolist()}})
    assert (status, info.split(";")[0]) == (413, "the feedback holds more than 50,000 values")


def rewarded(microservice: Microservice) -> float:
    page = requests.get(microservice.metrics_url, timeout=30).text
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in page.splitlines()
        if line.startswith("seldon_api_model_feedback_reward_total{")
    )


def test_the_reward_of_refused_feedback_does_not_count(microservice: Microservice) -> None:
    before = rewarded(microservice)
    message = {"request": tensor(IMAGES[0]), "response": {}, "reward": 5, "truth": {"strData": "Bag"}}
    assert microservice.post(message, "/api/v1.0/feedback").status_code == 400
    assert rewarded(microservice) == before
    assert microservice.post({"reward": 2.5}, "/api/v1.0/feedback").ok
    assert rewarded(microservice) == before + 2.5


def test_large_uploads_stay_off_the_disk(microservice: Microservice) -> None:
    assert microservice.process
    first = psutil.Process(microservice.process.pid)
    workers = [first, *first.children(recursive=True)]
    written = sum(each.io_counters().write_chars for each in workers)
    files = {"binData": ("raw", bytes(15 * 2**20))}
    assert requests.post(microservice.url + V1, files=files, timeout=60).status_code == 400
    assert sum(each.io_counters().write_chars for each in workers) - written < 2**20


def test_the_swagger_page_needs_nothing_from_elsewhere(microservice: Microservice) -> None:
    page = microservice.get("/api/v1.0/doc/")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"):
        assert asset in page.text
        assert microservice.get(f"/api/v1.0/doc/{asset}").status_code == 200
    assert "://" not in page.text


def test_grpc_answers_the_same_and_refuses_the_same(microservice: Microservice, classifier: Classifier) -> None:
    messages = [tensor(IMAGES[:3], meta={"puid": "g"}), {"data": {"tensor": {"shape": [2], "values": [1, 2]}}}]
    good, bad = grpc_client.call(f"127.0.0.1:{microservice.grpc}", *(("Predict", each) for each in messages))
    np.testing.assert_allclose(probabilities(good), classifier.probabilities(IMAGES[:3]), atol=1e-5)
    assert good["meta"]["puid"] == "g"
    assert good["meta"]["tags"]["model_version"] == "3"
    assert "shape [2] is not one of" in bad["error"]
