"""The version that is in production now, run on the same images as the version under test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from determined.experimental import Determined
from determined.experimental.client import Checkpoint, ModelVersion

from data.validated import ValidatedSplit
from fmnist import production, registry
from fmnist.errors import RegistryError, ServingFormatError
from fmnist.production import Production
from fmnist.test import serving
from fmnist.test.evaluation import Evaluation


@dataclass(frozen=True)
class Incumbent:
    """What is in production, evaluated; without an evaluation there is nothing to compare with, and `reason` says why.

    `expected`: the reason is as it should be (nothing is deployed yet; it is this very version), nothing to see to.
    """

    live: Production
    evaluation: Evaluation | None = None
    reason: str = ""
    expected: bool = True

    @property
    def version(self) -> str | None:
        """The number on production's label."""
        return self.live.named.version if self.live.named else None

    @property
    def checkpoint(self) -> str | None:
        """The checkpoint on production's label."""
        return self.live.named.checkpoint if self.live.named else None


def find(
    client: Determined,
    tested: ModelVersion,
    split: ValidatedSplit,
    labels: tuple[str, ...],
    advance: Callable[[int], object] = lambda _: None,
) -> Incumbent:
    """Evaluate the version in production, unless it is the one under test or cannot be had."""
    live = production.find()
    if live.named is None:
        return Incumbent(live, reason=f"no version is known to be in production: {live.reason}", expected=live.readable)
    name, number, uuid = live.named.model, int(live.named.version or 0), live.named.checkpoint
    if tested.checkpoint is not None and tested.checkpoint.uuid == uuid:
        same = "this very version" if number == tested.model_version else f"the same checkpoint, as version {number},"
        return Incumbent(live, reason=f"{same} is in production already")
    try:
        # The labels name no model: it is the tested one's where that has the checkpoint.
        names = (tested.model_name, name) if uuid else (name,)
        checkpoint = _checkpoint(client, names, number, uuid)
        with tempfile.TemporaryDirectory() as temporary:
            model = serving.load(registry.download(checkpoint, Path(temporary)))
        if model.labels != labels:
            reason = f"version {number} is in production and has other classes: {', '.join(model.labels)}"
            return Incumbent(live, reason=reason, expected=False)
        answers = model.predict(split.images, advance=advance)
    except (RegistryError, ServingFormatError) as error:
        reason = f"version {number} is in production and cannot be compared with: {error}"
        return Incumbent(live, reason=reason, expected=False)
    return Incumbent(live, evaluation=Evaluation(answers, split.labels, labels))


def _checkpoint(client: Determined, names: Sequence[str], number: int, uuid: str | None) -> Checkpoint:
    """The checkpoint of the version on production's labels, of the first model that has it.  Raises RegistryError."""
    *others, last = dict.fromkeys(names)
    for name in others:
        with suppress(RegistryError):
            return _held(client, name, number, uuid)
    return _held(client, last, number, uuid)


def _held(client: Determined, name: str, number: int, uuid: str | None) -> Checkpoint:
    """The checkpoint of a registered version.  Raises RegistryError where that is not the one of this uuid."""
    checkpoint = registry.resolve_version(client, name, number).checkpoint
    if checkpoint is None:
        raise RegistryError("it has no checkpoint any more")
    if uuid is not None and checkpoint.uuid != uuid:
        raise RegistryError(
            f"it was made from checkpoint {uuid}, but this registry's {name} version {number} holds {checkpoint.uuid}"
        )
    return checkpoint
