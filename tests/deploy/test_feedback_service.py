"""Feedback posted to the genuine microservice, two workers with four threads: what it acknowledges is on the disk."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests

from deploy.fashion_classifier import spool, tftensor
from deploy.release.registry import Registered
from localcluster.settings import Settings
from pipelines.feedback import Feedback, collect
from tests.deploy.conftest import unpack
from tests.deploy.microservice import Microservice
from tests.deploy.tiny_model import LABELS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("microservice")]

IMAGES = np.random.default_rng(5).integers(0, 256, (64, 28, 28), dtype=np.uint8)
FEEDBACK = "/api/v1.0/feedback"


@pytest.fixture(scope="module")
def service(registered: Registered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Microservice]:
    """A service of its own, with a spool beside its files."""
    running = Microservice(unpack(registered, tmp_path_factory.mktemp("rootfs")), workers=2, threads=4)
    running.environment["FEEDBACK_SPOOL"] = str(running.root / "spool")
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def stored(service: Microservice) -> Iterator[Path]:
    """The spool, empty at the beginning and at the end."""
    yield service.root / "spool"
    for path in (service.root / "spool").iterdir():
        path.unlink()


def read(directory: Path) -> list[Feedback]:
    """What the pipeline makes of the spool; it must accept every line."""
    spool.close_due(directory, 0, 0)
    collected = collect(directory, len(LABELS))
    assert not collected.rejected
    return collected.valid


def predicted(service: Microservice, images: np.ndarray[Any, Any], kind: str = "ndarray") -> dict[str, Any]:
    """Request and response of a prediction."""
    messages: dict[str, dict[str, Any]] = {
        "ndarray": {"data": {"ndarray": images.tolist()}},
        "tensor": {"data": {"tensor": {"shape": list(images.shape), "values": images.ravel().tolist()}}},
        "tftensor": {"data": {"tftensor": tftensor.to_json(images.astype(np.float32))}},
        "jsonData": {"jsonData": images.tolist()},
    }
    request = messages[kind]
    return {"request": request, "response": service.post(request).json()}


def test_a_correction_is_stored_in_the_pipelines_format_and_counted(service: Microservice, stored: Path) -> None:
    message = predicted(service, IMAGES[0]) | {"truth": {"strData": LABELS[4]}, "reward": 0}
    answer = service.post(message, FEEDBACK)
    assert answer.status_code == 200, answer.text
    assert answer.json()["meta"]["tags"]["feedback"] == "stored"
    (line,) = read(stored)
    data, meta = message["response"]["data"], message["response"]["meta"]
    assert line.image == IMAGES[0].tobytes()
    assert (line.answer, line.truth) == (int(np.argmax(data["ndarray"])), 4)
    assert (line.model_version, line.puid) == (meta["tags"]["model_version"], meta["puid"])
    page = requests.get(service.metrics_url, timeout=30).text
    counted = [row for row in page.splitlines() if row.startswith("fashion_classifier_feedback_images_total{")]
    assert len(counted) == 1
    assert f'truth="{LABELS[4]}"' in counted[0]
    assert f'answer="{LABELS[line.answer]}"' in counted[0]


@pytest.mark.parametrize("kind", ["tensor", "tftensor", "jsonData"])
def test_an_answer_of_every_kind_can_be_corrected(service: Microservice, stored: Path, kind: str) -> None:
    message = predicted(service, IMAGES[:2], kind) | {"truth": {"data": {"ndarray": [4, LABELS[2]]}}}
    answer = service.post(message, FEEDBACK)
    assert answer.status_code == 200, answer.text
    assert [(line.image, line.truth) for line in read(stored)] == [
        (IMAGES[0].tobytes(), 4),
        (IMAGES[1].tobytes(), 2),
    ]


def test_what_the_ingress_copies_to_a_shadow_is_not_stored_twice(service: Microservice, stored: Path) -> None:
    message = predicted(service, IMAGES[0]) | {"truth": {"data": {"ndarray": [4]}}}
    assert service.post(message, FEEDBACK).json()["meta"]["tags"]["feedback"] == "stored"
    copied = service.post(message, FEEDBACK, headers={"Host": f"shop.example-shadow:{service.http}"})
    assert copied.json()["meta"]["tags"]["feedback"].startswith("counted: the predictor that this shadow copies")
    assert len(read(stored)) == 1


def test_a_refused_feedback_says_what_to_send_and_stores_nothing(service: Microservice, stored: Path) -> None:
    whole = predicted(service, IMAGES[1]) | {"truth": {"data": {"ndarray": [4]}}}
    for change, reason in (
        ({"response": {}}, 'send as "response" the whole answer'),
        ({"request": {}}, 'there is a "truth" and no "request"'),
        ({"truth": {"strData": "Hat"}}, "none of T-shirt/top"),
    ):
        answer = service.post(whole | change, FEEDBACK)
        assert answer.status_code == 400
        assert reason in answer.json()["status"]["info"]
    answer = service.post({"reward": 1}, FEEDBACK)
    assert answer.json()["meta"]["tags"]["feedback"] == "counted: there is no truth to store"
    assert read(stored) == []


CALL = """
import sys, grpc
from seldon_core.proto import prediction_pb2 as pb, prediction_pb2_grpc
with grpc.insecure_channel("127.0.0.1:" + sys.argv[1], [("grpc.enable_http_proxy", 0)]) as channel:
    stub = prediction_pb2_grpc.ModelStub(channel)
    image = pb.Tensor(shape=[28, 28], values=[n % 256 for n in range(784)])
    request = pb.SeldonMessage(data=pb.DefaultData(tensor=image))
    response = stub.Predict(request, timeout=30)
    feedback = pb.Feedback(request=request, response=response, truth=pb.SeldonMessage(strData="Bag"), reward=1)
    print(stub.SendFeedback(feedback, timeout=30).meta.tags["feedback"].string_value)
"""


def test_grpc_feedback_is_stored_too(service: Microservice, stored: Path) -> None:
    python = Settings.from_environment().serving_environment / "bin" / "python"
    done = subprocess.run([python, "-c", CALL, str(service.grpc)], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "stored", done.stderr
    assert [line.truth for line in read(stored)] == [LABELS.index("Bag")]


def workers(service: Microservice) -> list[psutil.Process]:
    """The processes that answer HTTP: those that share the listening socket with their parent."""
    assert service.process
    first = psutil.Process(service.process.pid)
    listening = [
        each
        for each in (first, *first.children(recursive=True))
        if any(c.laddr.port == service.http and c.status == psutil.CONN_LISTEN for c in each.net_connections("tcp"))
    ]
    return [each for each in listening if each.ppid() in {other.pid for other in listening}]


def test_no_acknowledged_line_is_lost_when_a_worker_is_killed(service: Microservice, stored: Path) -> None:
    messages = [predicted(service, image) | {"truth": {"data": {"ndarray": [3]}}} for image in IMAGES[:16]]
    acknowledged: list[str] = []
    begun = threading.Semaphore(0)

    def post(number: int) -> None:
        message = messages[number % 16]
        puid = f"{number:032x}"
        meta = {**message["response"]["meta"], "puid": puid}
        begun.release()
        try:
            answer = service.post(message | {"response": {**message["response"], "meta": meta}}, FEEDBACK)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return
        if answer.ok and answer.json()["meta"]["tags"]["feedback"] == "stored":
            acknowledged.append(puid)

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(post, number) for number in range(160)]
        for _ in range(60):
            begun.acquire()
        workers(service)[0].kill()
        for each in running:
            each.result()
    assert len(acknowledged) >= 140
    found = Counter(line.puid for line in read(stored))
    assert set(acknowledged) <= found.keys()
    assert set(found.values()) == {1}


def test_a_spool_that_cannot_be_written_is_503_and_predictions_go_on(service: Microservice, stored: Path) -> None:
    message = predicted(service, IMAGES[2]) | {"truth": {"strData": "Bag"}}
    away = stored.rename(stored.with_name("away"))
    stored.touch()
    try:
        answer = service.post(message, FEEDBACK)
        assert answer.status_code == 503
        assert answer.json()["status"]["reason"] == "MICROSERVICE_FEEDBACK_NOT_STORED"
        assert "predictions are not affected" in answer.json()["status"]["info"]
        assert service.post(message["request"]).ok
    finally:
        stored.unlink()
        away.rename(stored)
    assert service.post(message, FEEDBACK).ok
    assert len(read(stored)) == 1
