"""`make train`: what it refuses before it asks anybody, and what it says when Determined is lost while it looks on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from determined.common.api import errors as api_errors
from requests.exceptions import ChunkedEncodingError

from fmnist import registry
from fmnist.errors import TrainingFailed
from fmnist.model import submit


def test_a_configuration_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(TrainingFailed, match=r"no configuration cnst.yaml .*; there are adaptive.yaml, best.yaml, c"):
        submit.train("cnst.yaml", [])


@pytest.mark.parametrize(
    "lost", [api_errors.MasterNotFoundException("connection refused"), ChunkedEncodingError("cut off")]
)
def test_a_lost_master_is_no_defect_and_the_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lost: Exception
) -> None:
    def follow(_: Any) -> None:
        raise lost

    client = SimpleNamespace(get_experiment=lambda number: SimpleNamespace(id=number))
    monkeypatch.setattr(registry, "connect", lambda: client)
    monkeypatch.setattr(submit, "det", lambda *_, **__: "Created experiment 7\n")
    monkeypatch.setattr(submit, "follow", follow)
    assert submit.main([]) == 1
    said = capsys.readouterr().err
    assert str(lost) in said
    assert "det experiment wait 7" in said
