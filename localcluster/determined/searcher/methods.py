"""The search methods that never stop a trial: `single`, `random` and `grid`.

A method decides which trials to start; `Search` counts them and ends the search.  Methods keep their state in
plain attributes that `state`/`restore` turn into JSON.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from localcluster.determined.searcher.actions import Action, Create, Exit
from localcluster.determined.searcher.hparams import grid, sample

MAX_SEED = 2**31


class Source:
    """Trials drawn from a space: the n-th depends on the experiment's seed and n alone, so it needs no state."""

    def __init__(self, space: dict[str, Any], seed: int) -> None:
        self._space, self._seed = space, seed

    def draw(self, index: int) -> Create:
        """Draw trial number `index` at random."""
        stream = random.Random(f"{self._seed}/{index}")  # noqa: S311
        return Create(index, sample(self._space, stream), stream.randrange(MAX_SEED))

    def given(self, index: int, hparams: dict[str, Any]) -> Create:
        """Give trial number `index` these hyperparameters and a random seed."""
        return Create(index, hparams, random.Random(f"{self._seed}/{index}").randrange(MAX_SEED))  # noqa: S311


class Method:
    """What `Search` asks a method; `created` is the number of trials so far, hence the next index."""

    def start(self) -> list[Action]:
        """Return the first trials."""
        raise NotImplementedError

    def validated(self, _index: int, _metrics: dict[str, Any], _created: int) -> list[Action]:
        """A trial reported a validation; raises ValueError where the metrics lack what the method needs."""
        return []

    def exited(self, index: int, how: Exit, created: int) -> list[Action]:
        """A trial is over."""
        raise NotImplementedError

    def progress(self, trials: dict[int, float]) -> float:
        """How much of the search is done, 0 to 1, given the progress of every trial."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """JSON from which `restore` continues."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`."""


def mean_progress(trials: dict[int, float], planned: int) -> float:
    """The mean over `planned` trials, those not yet begun counting 0."""
    return min(1.0, sum(trials.values()) / max(planned, len(trials), 1))


@dataclass
class RandomSearch(Method):
    """`max_trials` random points, `max_concurrent_trials` at a time (0: all at once); `single` is one point.

    A trial that calls its hyperparameters invalid is replaced, at most `replacements` times.
    """

    source: Source
    max_trials: int
    max_concurrent: int
    replacements: int
    replaced: int = 0

    def start(self) -> list[Action]:
        count = min(self.max_trials, self.max_concurrent or self.max_trials)
        return [self.source.draw(index) for index in range(count)]

    def exited(self, _index: int, how: Exit, created: int) -> list[Action]:
        if how is Exit.INVALID_HP and self.replaced < self.replacements:
            self.replaced += 1
        return [self.source.draw(created)] if created < self.max_trials + self.replaced else []

    def progress(self, trials: dict[int, float]) -> float:
        return mean_progress(trials, self.max_trials + self.replaced)

    def state(self) -> dict[str, Any]:
        return {"replaced": self.replaced}

    def restore(self, state: dict[str, Any]) -> None:
        self.replaced = state["replaced"]


class GridSearch(Method):
    """Every point of the grid once, taken from the end of the list as the real master does."""

    def __init__(self, source: Source, space: dict[str, Any], max_concurrent: int) -> None:
        self._source = source
        self._points = grid(space)[::-1]
        self._max_concurrent = max_concurrent or len(self._points)

    def start(self) -> list[Action]:
        count = min(len(self._points), self._max_concurrent)
        return [self._source.given(index, self._points[index]) for index in range(count)]

    def exited(self, _index: int, _how: Exit, created: int) -> list[Action]:
        return [self._source.given(created, self._points[created])] if created < len(self._points) else []

    def progress(self, trials: dict[int, float]) -> float:
        return mean_progress(trials, len(self._points))
