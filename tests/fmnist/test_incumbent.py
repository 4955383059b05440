"""When the version in production cannot be compared with, which of the reasons it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data.validated import ValidatedSplit
from fmnist import production, registry
from fmnist.errors import ServingFormatError
from fmnist.production import Named, Production
from fmnist.test import incumbent, serving
from fmnist.test.incumbent import Incumbent
from fmnist.test.serving import ServingModel

TESTED: Any = SimpleNamespace(model_name="fashion-classifier", model_version=3, checkpoint=SimpleNamespace(uuid="u-3"))
LABELS = np.array([0, 1, 0, 1], np.uint8)
SPLIT = ValidatedSplit(np.zeros((4, 28, 28), np.uint8), LABELS, "test@master", "c" * 32)
NOBODY: Any = None


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry whose version 2 holds checkpoint u-2, and a cluster where it is in production."""
    checkpoint = SimpleNamespace(uuid="u-2")
    monkeypatch.setattr(registry, "resolve_version", lambda *_: SimpleNamespace(checkpoint=checkpoint))
    monkeypatch.setattr(registry, "download", lambda _, folder: folder)
    live(monkeypatch, "2", "u-2")


def live(monkeypatch: pytest.MonkeyPatch, version: str, checkpoint: str | None) -> None:
    found = Production(Named("fashion-classifier", version, checkpoint), predictor="default/fashion-classifier/default")
    monkeypatch.setattr(production, "find", lambda: found)


def holding(monkeypatch: pytest.MonkeyPatch, *labels: str) -> None:
    """Let production's model have these classes, and always answer the first."""
    monkeypatch.setattr(serving, "load", lambda _: ServingModel(b"", labels, {}))
    answers = np.eye(len(labels), dtype=np.float32)[[0] * len(SPLIT.labels)]
    monkeypatch.setattr(ServingModel, "predict", lambda *_, **__: answers)


def found() -> Incumbent:
    return incumbent.find(NOBODY, TESTED, SPLIT, ("a", "b"))


@pytest.mark.parametrize("checkpoint", ["u-2", None])
def test_production_is_evaluated_on_the_same_images(monkeypatch: pytest.MonkeyPatch, checkpoint: str | None) -> None:
    live(monkeypatch, "2", checkpoint)
    holding(monkeypatch, "a", "b")
    rival = found()
    assert rival.evaluation is not None
    assert rival.evaluation.right.tolist() == [True, False, True, False]
    assert (rival.version, rival.checkpoint) == ("2", checkpoint)


def test_a_model_with_other_classes_is_not_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    holding(monkeypatch, "0", "1")
    rival = found()
    assert (rival.evaluation, rival.expected) == (None, False)
    assert rival.reason == "version 2 is in production and has other classes: 0, 1"


def test_production_is_a_version_of_the_tested_model_where_that_has_its_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Production's labels name no model."""

    def resolve(_: object, name: str, number: int) -> Any:
        held = {"digits": "u-2", "fashion-classifier": "of another model"}
        return SimpleNamespace(checkpoint=SimpleNamespace(uuid=held[name], model=name))

    monkeypatch.setattr(registry, "resolve_version", resolve)
    holding(monkeypatch, "a", "b")
    tested: Any = SimpleNamespace(**{**vars(TESTED), "model_name": "digits"})
    assert incumbent.find(NOBODY, tested, SPLIT, ("a", "b")).evaluation is not None
    live(monkeypatch, "2", "of another model")
    assert incumbent.find(NOBODY, tested, SPLIT, ("a", "b")).evaluation is not None
    live(monkeypatch, "2", "gone")
    assert "holds of another model" in incumbent.find(NOBODY, tested, SPLIT, ("a", "b")).reason


def test_a_model_whose_answers_are_none_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ServingFormatError("serving/model.tflite does not answer with probabilities")

    holding(monkeypatch, "a", "b")
    monkeypatch.setattr(ServingModel, "predict", refused)
    rival = found()
    assert (rival.evaluation, rival.expected) == (None, False)
    assert "cannot be compared with: serving/model.tflite does not answer" in rival.reason


def test_the_same_checkpoint_under_another_number_is_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    live(monkeypatch, "2", "u-3")
    rival = found()
    assert (rival.evaluation, rival.expected) == (None, True)
    assert rival.reason == "the same checkpoint, as version 2, is in production already"


def test_a_checkpoint_in_no_readable_format_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path) -> ServingModel:
        raise ServingFormatError("serving/model.tflite is corrupt")

    monkeypatch.setattr(serving, "load", refused)
    rival = found()
    assert (rival.evaluation, rival.expected) == (None, False)
    assert "cannot be compared with: serving/model.tflite is corrupt" in rival.reason


def test_nothing_readable_is_to_be_seen_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for readable in (True, False):
        nothing = Production(None, "why", readable=readable)
        monkeypatch.setattr(production, "find", lambda nothing=nothing: nothing)
        rival = found()
        assert (rival.version, rival.evaluation, rival.expected) == (None, None, readable)
        assert rival.reason == "no version is known to be in production: why"
