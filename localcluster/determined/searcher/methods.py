"""The search methods that never stop a trial: `single`, `random` and `grid`.

A method decides which trials to start; `Search` counts them and ends the search.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from localcluster.determined.searcher.actions import Action, Exit
from localcluster.determined.searcher.draws import Draws
from localcluster.determined.searcher.hparams import point, size


class Method:
    """What `Search`, which says what the methods of the same names mean, asks a method."""

    def start(self) -> list[Action]:
        raise NotImplementedError

    def validated(self, _index: int, _metrics: dict[str, Any]) -> list[Action]:
        return []

    def exited(self, index: int, how: Exit) -> list[Action]:
        raise NotImplementedError

    def progress(self) -> float | None:
        return None

    def rungs(self) -> list[list[dict[str, Any]]]:
        return []

    def state(self) -> Any:
        """JSON from which `restore` continues."""
        return None

    def restore(self, state: Any) -> None:
        """Continue from a `state`."""


@dataclass
class RandomSearch(Method):
    """`max_trials` random points, `max_concurrent` at a time (0: all at once); `single` is one point.

    A trial that calls its hyperparameters invalid is replaced, at most `replacements` times.
    """

    draws: Draws
    max_trials: int
    max_concurrent: int
    replacements: int
    replaced: int = field(default=0, init=False)

    def start(self) -> list[Action]:
        return [self.draws.draw() for _ in range(min(self.max_trials, self.max_concurrent or self.max_trials))]

    def exited(self, _index: int, how: Exit) -> list[Action]:
        if how is Exit.INVALID_HP and self.replaced < self.replacements:
            self.replaced += 1
        return [self.draws.draw()] if self.draws.created < self.max_trials + self.replaced else []

    def state(self) -> int:
        return self.replaced

    def restore(self, state: int) -> None:
        self.replaced = state


@dataclass
class GridSearch(Method):
    """Every point of the grid over `space` once, the last one first as in the real master."""

    draws: Draws
    space: dict[str, Any]
    max_concurrent: int

    def __post_init__(self) -> None:
        self._size = size(self.space)

    def start(self) -> list[Action]:
        return [self._next() for _ in range(min(self._size, self.max_concurrent or self._size))]

    def exited(self, _index: int, _how: Exit) -> list[Action]:
        return [self._next()] if self.draws.created < self._size else []

    def _next(self) -> Action:
        return self.draws.given(point(self.space, self._size - 1 - self.draws.created))
