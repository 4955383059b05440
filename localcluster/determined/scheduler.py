"""Which waiting trials get slots: a pure function of the queue and of what is free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wanted:
    """A trial in the queue and what it asks for; `max_slots` limits its whole experiment."""

    trial_id: int
    experiment_id: int
    slots: int
    max_slots: int | None


def choose(queue: Iterable[Wanted], free: int, used: Mapping[int, int]) -> list[Wanted]:
    """Return the trials to start now, in order.

    `used` is slots by experiment.  The queue is strict: a trial that does not fit keeps later ones from overtaking
    it (else a wide trial would starve), except where its own experiment's `max_slots` holds it back.
    """
    chosen = []
    held = dict(used)
    for trial in queue:
        mine = held.get(trial.experiment_id, 0)
        if trial.max_slots is not None and mine + trial.slots > trial.max_slots:
            continue
        if trial.slots > free:
            break
        chosen.append(trial)
        free -= trial.slots
        held[trial.experiment_id] = mine + trial.slots
    return chosen
