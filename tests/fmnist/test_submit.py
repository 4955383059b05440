"""What `make train` refuses before it asks anybody."""

from __future__ import annotations

import pytest

from fmnist.errors import TrainingFailed
from fmnist.model import submit


def test_a_configuration_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(TrainingFailed, match=r"no configuration cnst.yaml .*; there are adaptive.yaml, best.yaml, c"):
        submit.train("cnst.yaml", [])
