"""What `make predict` shows: chosen images, their drawing, and the server's words where it refuses."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from deploy.release import ingress, manifest, predict, samples
from deploy.release.errors import PredictError
from tests.deploy.microservice import Microservice
from tests.deploy.tiny_model import LABELS

pytestmark = pytest.mark.xdist_group("microservice")


def split(labels: list[int]) -> samples.Samples:
    images = np.random.default_rng(1).integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
    return samples.Samples(images, np.array(labels, np.uint8), np.arange(len(labels)))


def test_the_chosen_images_are_of_different_classes_and_always_the_same() -> None:
    whole = split([9, 9, 9, 1, 0, 1, 9])
    chosen = samples.choose(whole, 5)
    assert chosen.labels.tolist() == [0, 1, 9, 1, 9]
    assert chosen.positions.tolist() == [4, 3, 0, 5, 1]
    assert np.array_equal(chosen.images, whole.images[chosen.positions])
    assert len(samples.choose(whole, 100).labels) == 7


def test_a_drawing_is_dark_where_the_image_is() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[:, 14:] = 255
    lines = predict.drawing(image).splitlines()
    assert lines == [" " * 7 + "█" * 7] * 7


def test_real_answers_become_a_table(microservice: Microservice) -> None:
    chosen = samples.choose(split([3, 7]), 2)
    response = microservice.post(predict.message(chosen.images)).json()
    names, probabilities = predict.answers(response, 2)
    assert names == LABELS
    output = io.StringIO()
    console = Console(file=output, width=100)
    console.print(predict.table(chosen, names, probabilities))
    text = output.getvalue()
    assert "Dress" in text
    assert LABELS[int(probabilities[0].argmax())] in text
    assert f"{probabilities[0].max():.1%}" in text


@pytest.mark.parametrize(
    "response", [{}, {"data": {"names": LABELS}}, {"data": {"names": LABELS, "tensor": {"shape": [1], "values": [1]}}}]
)
def test_another_answer_is_refused(response: Any) -> None:
    with pytest.raises(PredictError, match="the answer"):
        predict.answers(response, 1)


def test_the_servers_words_are_passed_on(microservice: Microservice) -> None:
    with pytest.raises(PredictError, match="answered 400: there is no"):
        ingress.predict(f"{microservice.url}/api/v1.0", {})


def test_an_unreachable_ingress_is_named() -> None:
    with pytest.raises(PredictError, match=r"http://127\.0\.0\.1:1/predictions cannot be reached"):
        ingress.predict("http://127.0.0.1:1", {}, timeout=5)


@pytest.mark.usefixtures("kubectl")
def test_the_overlay_says_in_which_namespace_the_model_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "kustomization.yaml").write_text("namespace: shop\nresources: [seldon.yaml]\n")
    seldon = {"apiVersion": "v1", "kind": manifest.KIND, "metadata": {"name": manifest.NAME}}
    (tmp_path / "shop" / "seldon.yaml").write_text(json.dumps(seldon))
    monkeypatch.setattr(manifest, "OVERLAYS", tmp_path)
    monkeypatch.setattr(samples, "read", lambda _: split([3]))
    monkeypatch.setenv("OVERLAY", "shop")
    monkeypatch.setenv("INGRESS_URL", "http://127.0.0.1:1")
    assert predict.main(["--count", "1"]) == 1
    assert "http://127.0.0.1:1/seldon/shop/fashion-classifier/" in capsys.readouterr().err


def test_the_images_are_of_the_split_that_the_gate_measured_with(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def read(source: str) -> samples.Samples:
        asked.append(source)
        raise PredictError("enough")

    monkeypatch.setattr(samples, "read", read)
    seldon = {"kind": manifest.KIND, "metadata": {"name": manifest.NAME}}
    monkeypatch.setattr(manifest, "read_overlay", lambda: [seldon])
    monkeypatch.setenv("INGRESS_URL", "http://127.0.0.1:1")
    for given in ("mnist-test@4", ""):
        monkeypatch.setenv("TEST_DATA", given)
        assert predict.main([]) == 1
    assert asked == ["mnist-test@4", "fmnist-test@master"]


def test_the_gateways_token_travels_in_the_header_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with ingress.session() as without:
        assert "Authorization" not in without.headers
    monkeypatch.setenv("INGRESS_TOKEN", "s3cret")
    with ingress.session() as opened:
        assert opened.headers["Authorization"] == "Bearer s3cret"
