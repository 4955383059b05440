"""Test images that the model was trained on all the same: as answers that people corrected.

Predictions are tried out with test images, and what people say of such an answer may end in the feedback that a
training adds.  An accuracy on those images says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pachyderm_sdk import Client

from data import validated
from data.errors import SplitRefused


@dataclass(frozen=True)
class Feedback:
    """The feedback that a training read, as repo@commit, None without any.

    `positions` are those of the test images it holds to the byte; None where that is unknown, and `reason` says why.
    """

    reference: str | None = None
    positions: tuple[int, ...] | None = ()
    reason: str = ""


def find(client: Client, provenance: Mapping[str, Any], images: npt.NDArray[np.uint8]) -> Feedback:
    """Look for the test `images`, uint8 [n, 28, 28], in the feedback that a model's provenance names."""
    source = provenance.get("data_feedback")
    if not source:
        return Feedback()
    reference = f"{source['repo']}@{source['commit']}"
    try:
        trained_on = {image.tobytes() for image in validated.read(client, reference).images}
    except SplitRefused as error:
        return Feedback(reference, None, " ".join(str(error).split()))
    found = (position for position, image in enumerate(images) if image.tobytes() in trained_on)
    return Feedback(reference, tuple(found))
