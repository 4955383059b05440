"""`make train`: what it refuses before it asks anybody, and what it says when Determined is lost while it looks on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from determined.common.api import errors as api_errors
from determined.experimental.client import ExperimentState
from requests.exceptions import ChunkedEncodingError

from fmnist import registry
from fmnist.errors import TrainingFailed
from fmnist.model import curves, submit


def test_a_configuration_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(TrainingFailed, match=r"no configuration cnst.yaml .*; there are adaptive.yaml, best.yaml, c"):
        submit.train("cnst.yaml", [])


LOST = (api_errors.MasterNotFoundException("connection refused"), ChunkedEncodingError("cut off"))


@pytest.mark.parametrize("where", ["follow", "_result"])
@pytest.mark.parametrize("lost", LOST)
def test_a_lost_master_is_no_defect_and_the_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lost: Exception, where: str
) -> None:
    def lose(_: Any) -> None:
        raise lost

    done = SimpleNamespace(state=ExperimentState.COMPLETED)
    client = SimpleNamespace(get_experiment=lambda _: done)
    monkeypatch.setenv("DET_MASTER", "http://127.0.0.1:9")
    monkeypatch.setattr(registry, "connect", lambda: client)
    monkeypatch.setattr(submit, "det", lambda *_, **__: "Created experiment 7\n")
    monkeypatch.setattr(submit, "follow", lambda _: None)
    monkeypatch.setattr(curves, "read", lambda _: [])
    monkeypatch.setattr(submit, "best", lambda _: None)
    monkeypatch.setattr(submit, where, lose)
    assert submit.main([]) == 1
    said = capsys.readouterr().err
    assert str(lost) in said
    assert "det experiment wait 7" in said


@pytest.mark.parametrize("lost", LOST)
def test_a_master_that_is_lost_while_a_version_is_looked_up_is_no_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lost: Exception
) -> None:
    def get_model(_: str) -> None:
        raise lost

    monkeypatch.setenv("DET_MASTER", "http://127.0.0.1:9")
    monkeypatch.setattr(registry, "connect", lambda: SimpleNamespace(get_model=get_model))
    assert submit.main(["--reuse"]) == 1
    assert f"Determined at http://127.0.0.1:9: {lost}" in capsys.readouterr().err
