"""One experiment's search: the method of its configuration, and the counting that ends it.

The search is over when every requested trial is closed.  It fails only if all trials failed, and is cancelled only
if all were cancelled: one lost trial does not spoil a search.  A `single` search so takes the fate of its trial.
"""

from __future__ import annotations

from typing import Any

from localcluster.determined.errors import Unimplemented
from localcluster.determined.searcher.actions import Action, Create, Exit, Shutdown
from localcluster.determined.searcher.methods import GridSearch, Method, RandomSearch, Source

RANDOM_CONCURRENCY = 16
"""Upstream's default of `max_concurrent_trials`."""


class Search:
    """A method, and what became of the trials it asked for (keys are trial indexes)."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self._progress: dict[int, float] = {}
        self._exits: dict[int, Exit] = {}

    @classmethod
    def from_config(cls, searcher: dict[str, Any], hparams: dict[str, Any], seed: int) -> Search:
        """Build the search of a validated configuration; raises Unimplemented for a method not served."""
        return cls(_method(searcher, hparams, seed))

    @classmethod
    def restored(cls, searcher: dict[str, Any], hparams: dict[str, Any], seed: int, state: dict[str, Any]) -> Search:
        """Continue from a `snapshot`."""
        search = cls.from_config(searcher, hparams, seed)
        search._method.restore(state["method"])
        search._progress = {int(index): value for index, value in state["progress"].items()}
        search._exits = {int(index): Exit(value) for index, value in state["exits"].items()}
        return search

    def snapshot(self) -> dict[str, Any]:
        """JSON from which `restored` continues."""
        return {
            "method": self._method.state(),
            "progress": {str(index): value for index, value in self._progress.items()},
            "exits": {str(index): how.value for index, how in self._exits.items()},
        }

    def start(self) -> list[Action]:
        """Return the first trials."""
        return self._counted(self._method.start())

    def validated(self, index: int, metrics: dict[str, Any]) -> list[Action]:
        """A trial reported a validation; raises ValueError where the metrics lack what the method needs."""
        if index in self._exits:
            return []
        return self._counted(self._method.validated(index, metrics, len(self._progress)))

    def progressed(self, index: int, fraction: float) -> None:
        """A trial says how far it is, 0 to 1."""
        if index not in self._exits:
            self._progress[index] = min(max(fraction, 0.0), 1.0)

    def exited(self, index: int, how: Exit) -> list[Action]:
        """A trial is over; a second report of the same end changes nothing."""
        if index in self._exits:
            return []
        self._exits[index] = how
        self._progress[index] = 1.0
        actions = self._counted(self._method.exited(index, how, len(self._progress)))
        return [*actions, Shutdown(self._outcome())] if len(self._exits) == len(self._progress) else actions

    def progress(self) -> float:
        """How much of the search is done, 0 to 1."""
        return self._method.progress(self._progress)

    def _counted(self, actions: list[Action]) -> list[Action]:
        for action in actions:
            if isinstance(action, Create):
                self._progress[action.index] = 0.0
        return actions

    def _outcome(self) -> Exit:
        ends = set(self._exits.values())
        return ends.pop() if ends in ({Exit.ERRORED}, {Exit.CANCELED}) else Exit.COMPLETED


def _method(searcher: dict[str, Any], hparams: dict[str, Any], seed: int) -> Method:
    source = Source(hparams, seed)
    name = searcher["name"]
    if name == "single":
        return RandomSearch(source, max_trials=1, max_concurrent=1, replacements=0)
    concurrent = searcher.get("max_concurrent_trials", RANDOM_CONCURRENCY)
    if name == "random":
        return RandomSearch(source, searcher["max_trials"], concurrent, replacements=searcher["max_trials"])
    if name == "grid":
        return GridSearch(source, hparams, concurrent)
    raise Unimplemented(f"searcher.name: {name} is not served by the local master; use single, random or grid")
