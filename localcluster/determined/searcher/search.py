"""One experiment's search: the method of its configuration, and the counting that ends it.

The search is over when every requested trial is closed.  It fails only if all trials failed, and is cancelled only
if all were cancelled: one lost trial does not spoil a search.  A `single` search so takes the fate of its trial.
"""

from __future__ import annotations

from typing import Any

from localcluster.determined.searcher import asha
from localcluster.determined.searcher.actions import Action, Exit, Shutdown
from localcluster.determined.searcher.draws import Draws
from localcluster.determined.searcher.methods import GridSearch, Method, RandomSearch


class Search:
    """A method, and what became of the trials it asked for; trials are known by their index 0, 1, 2 …"""

    def __init__(self, searcher: dict[str, Any], hparams: dict[str, Any], seed: int) -> None:
        """Take `searcher`, `hyperparameters` and `experiment_seed` of a completed configuration."""
        self._draws = Draws(hparams, seed)
        self._method = _method(searcher, hparams, self._draws)
        self._ends: dict[int, Exit] = {}

    @classmethod
    def restored(cls, searcher: dict[str, Any], hparams: dict[str, Any], seed: int, state: dict[str, Any]) -> Search:
        """Continue from a `snapshot`."""
        search = cls(searcher, hparams, seed)
        search._draws.created, search._draws.position = state["draws"]
        search._method.restore(state["method"])
        search._ends = {index: Exit(how) for how, indexes in state["ends"].items() for index in indexes}
        return search

    def snapshot(self) -> dict[str, Any]:
        """JSON from which `restored` continues."""
        ends: dict[str, list[int]] = {}
        for index, how in self._ends.items():
            ends.setdefault(how.value, []).append(index)
        draws = [self._draws.created, self._draws.position]
        return {"draws": draws, "ends": ends, "method": self._method.state()}

    def start(self) -> list[Action]:
        """Return the first trials."""
        return self._method.start()

    def validated(self, index: int, metrics: dict[str, Any]) -> list[Action]:
        """A trial reported a validation; raises ValueError where the metrics lack what the method needs."""
        return [] if index in self._ends else self._method.validated(index, metrics)

    def exited(self, index: int, how: Exit) -> list[Action]:
        """A trial is over; a second report of the same end changes nothing."""
        if index in self._ends:
            return []
        self._ends[index] = how
        actions = self._method.exited(index, how)
        return [*actions, Shutdown(self._outcome())] if len(self._ends) == self._draws.created else actions

    def progress(self) -> float | None:
        """How much of the search is done, 0 to 1; None: as much as its valid trials on average."""
        return self._method.progress()

    def rungs(self) -> list[list[dict[str, Any]]]:
        """Return the rungs of every bracket, bottom first; no bracket for methods that never stop a trial.

        A rung is `{"units_needed": int, "entries": [{"trial": index, "metric": float | None, "decision": str}]}`,
        best entry first.  `units_needed` counts in `time_metric`.  The decision is "promoted", "stopped", "top"
        (stopped in the last rung, having got everything) or "failed" (it ended without a result: metric None).
        """
        return self._method.rungs()

    def _outcome(self) -> Exit:
        ends = set(self._ends.values())
        return ends.pop() if ends in ({Exit.ERRORED}, {Exit.CANCELED}) else Exit.COMPLETED


def _method(searcher: dict[str, Any], hparams: dict[str, Any], draws: Draws) -> Method:
    name = searcher["name"]
    if name == "single":
        return RandomSearch(draws, max_trials=1, max_concurrent=1, replacements=0)
    if name == "random":
        trials = searcher["max_trials"]
        return RandomSearch(draws, trials, searcher["max_concurrent_trials"], replacements=trials)
    if name == "grid":
        return GridSearch(draws, hparams, searcher["max_concurrent_trials"])
    brackets = asha.async_halving if name == "async_halving" else asha.adaptive_asha
    return asha.Halving(draws, searcher, brackets(searcher))
