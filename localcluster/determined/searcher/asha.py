"""Asynchronous successive halving that stops trials: `async_halving`, and `adaptive_asha`, which runs several brackets.

A bracket's rung r of N asks for max(1, max_time / divisor^(N-1-r)) units of `time_metric`.  A trial whose
validation reaches a rung is ranked among all that did: the best 1/divisor go on, the others are stopped; at the top
everybody is.  One validation may climb several rungs.  Whoever is stopped is replaced until `max_trials` exist.

Facts: Determined 0.38.1, master/pkg/searcher/asha_stopping.go, adaptive_asha.go and tournament.go.  Otherwise than
there, a trial that was stopped counts no more: what it validates until it ends does not enter a rung again.
"""

from __future__ import annotations

import bisect
import math
import sys
from dataclasses import dataclass, field
from typing import Any

from localcluster.determined.searcher.actions import Action, Exit, Stop
from localcluster.determined.searcher.draws import Draws
from localcluster.determined.searcher.methods import Method

FAILED = sys.float_info.max
"""The metric of a trial that failed: behind every other."""


@dataclass
class Bracket:
    """One tournament of halvings: `units[r]` is what rung r asks for, `rungs[r]` its (metric, trial), best first."""

    units: list[int]
    divisor: float
    max_trials: int
    concurrent: int
    rungs: list[list[tuple[float, int]]] = field(init=False)
    reached: dict[int, int] = field(default_factory=dict, init=False)
    """The rung that each trial is on its way to, or was stopped in."""
    stopped: set[int] = field(default_factory=set, init=False)
    invalid: int = field(default=0, init=False)
    closed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.rungs = [[] for _ in self.units]

    def stops(self, trial: int, units: int, metric: float) -> bool:
        """Enter a validation (smaller is better) in every rung that it reaches; whether the trial must stop."""
        for rung in range(self.reached[trial], len(self.rungs)):
            self.reached[trial] = rung
            if units < self.units[rung]:
                return False
            position = self.enter(rung, trial, metric)
            kept = max(1, int(len(self.rungs[rung]) / self.divisor))
            if rung == len(self.rungs) - 1 or position >= kept:
                self.stopped.add(trial)
                return True
        return False

    def forget(self, trial: int) -> None:
        """Take a trial out of all rungs."""
        self.invalid += 1
        self.rungs = [[entry for entry in rung if entry[1] != trial] for rung in self.rungs]

    def progress(self) -> float:
        """Upstream's measure: the first rung's share with a fifth to spare, then the share of ended trials."""
        entered = len(self.rungs[0])
        share = entered / (1.2 * self.max_trials)
        return max(share, (self.closed - self.invalid) / self.max_trials) if entered == self.max_trials else share

    def decision(self, rung: int, trial: int, metric: float) -> str:
        """Return what became of an entry."""
        if metric == FAILED:
            return "failed"
        if rung == len(self.rungs) - 1:
            return "top"
        return "stopped" if self.reached[trial] == rung else "promoted"

    def enter(self, rung: int, trial: int, metric: float) -> int:
        """Rank a trial in a rung, and return its place there."""
        entries = self.rungs[rung]
        position = bisect.bisect_left(entries, metric, key=lambda entry: entry[0])
        entries.insert(position, (metric, trial))
        return position


class Halving(Method):
    """The brackets of one search; all draw their trials from the same stream."""

    def __init__(self, draws: Draws, searcher: dict[str, Any], brackets: list[Bracket]) -> None:
        self._draws = draws
        self._metric, self._time = searcher["metric"], searcher["time_metric"]
        self._sign = 1 if searcher["smaller_is_better"] else -1
        self._brackets = brackets

    def start(self) -> list[Action]:
        return [self._create(b) for b in self._brackets for _ in range(min(b.concurrent, b.max_trials))]

    def validated(self, index: int, metrics: dict[str, Any]) -> list[Action]:
        metric, units = (_number(metrics, name) for name in (self._metric, self._time))
        bracket = self._bracket(index)
        if index in bracket.stopped or not bracket.stops(index, int(units), self._sign * metric):
            return []
        return [Stop(index), *self._replacement(bracket)]

    def exited(self, index: int, how: Exit) -> list[Action]:
        bracket = self._bracket(index)
        bracket.closed += 1
        if how is Exit.INVALID_HP:
            bracket.forget(index)
            return self._replacement(bracket) if bracket.invalid <= bracket.max_trials else []
        if how is Exit.COMPLETED or index in bracket.stopped:
            return []
        bracket.enter(bracket.reached[index], index, FAILED)
        return self._replacement(bracket)

    def progress(self) -> float:
        return sum(bracket.progress() for bracket in self._brackets) / len(self._brackets)

    def rungs(self) -> list[list[dict[str, Any]]]:
        return [
            [
                {
                    "units_needed": units,
                    "entries": [
                        {
                            "trial": trial,
                            "metric": None if metric == FAILED else self._sign * metric,
                            "decision": bracket.decision(position, trial, metric),
                        }
                        for metric, trial in entries
                    ],
                }
                for position, (units, entries) in enumerate(zip(bracket.units, bracket.rungs, strict=True))
            ]
            for bracket in self._brackets
        ]

    def state(self) -> list[dict[str, Any]]:
        return [
            {
                "rungs": b.rungs,
                "reached": list(b.reached.items()),
                "stopped": sorted(b.stopped),
                "invalid": b.invalid,
                "closed": b.closed,
            }
            for b in self._brackets
        ]

    def restore(self, state: list[dict[str, Any]]) -> None:
        for bracket, saved in zip(self._brackets, state, strict=True):
            bracket.rungs = [[(metric, trial) for metric, trial in rung] for rung in saved["rungs"]]
            bracket.reached, bracket.stopped = dict(saved["reached"]), set(saved["stopped"])
            bracket.invalid, bracket.closed = saved["invalid"], saved["closed"]

    def _create(self, bracket: Bracket) -> Action:
        create = self._draws.draw()
        bracket.reached[create.index] = 0
        return create

    def _replacement(self, bracket: Bracket) -> list[Action]:
        return [self._create(bracket)] if len(bracket.reached) - bracket.invalid < bracket.max_trials else []

    def _bracket(self, index: int) -> Bracket:
        return next(bracket for bracket in self._brackets if index in bracket.reached)


def async_halving(searcher: dict[str, Any]) -> list[Bracket]:
    """Return the only bracket of an `async_halving` search."""
    rungs, divisor, trials = searcher["num_rungs"], searcher["divisor"], searcher["max_trials"]
    enough = max(1, int(divisor ** (rungs - 1)))
    return [Bracket(_units(searcher, rungs), divisor, trials, searcher["max_concurrent_trials"] or enough)]


def adaptive_asha(searcher: dict[str, Any]) -> list[Bracket]:
    """Return the brackets of an `adaptive_asha` search, the one with most rungs first."""
    depths = sorted(searcher["bracket_rungs"] or _depths(searcher), reverse=True)
    divisor = searcher["divisor"]
    trials = _shares(searcher["max_trials"], divisor, depths)
    concurrent = _concurrency(searcher["max_concurrent_trials"], divisor, trials)
    return [
        Bracket(_units(searcher, depth), divisor, trials[position], concurrent[position])
        for position, depth in enumerate(depths)
    ]


def _units(searcher: dict[str, Any], depth: int) -> list[int]:
    return [max(1, int(searcher["max_time"] / searcher["divisor"] ** (depth - 1 - rung))) for rung in range(depth)]


def _depths(searcher: dict[str, Any]) -> list[int]:
    """How many rungs each bracket has, so that at least one trial can reach every top.

    The quotients of logarithms are cut off as upstream does, so ln 1000 / ln 10 counts as 2.  Go's logarithm rounds
    otherwise now and then: there ln 243 / ln 3 is 5, here 4, which matters where `max_rungs` is more than 5.
    """
    base = math.log(searcher["divisor"])
    deepest = min(searcher["max_rungs"], *(int(math.log(searcher[k]) / base) + 1 for k in ("max_time", "max_trials")))
    first = {"aggressive": deepest, "standard": (deepest - 1) // 2 + 1, "conservative": 1}[searcher["mode"]]
    return list(range(first, deepest + 1))


def _shares(max_trials: int, divisor: float, depths: list[int]) -> list[int]:
    """Trials of each bracket such that each rung costs about the same; at least one, what is left goes to the first."""
    weights = [divisor ** (depth - 1) / depth for depth in depths]
    total = sum(weights)
    shares = [max(1, int(weight / total * max_trials)) for weight in weights]
    shares[0] += max(0, max_trials - sum(shares))
    return shares


def _concurrency(limit: int, divisor: float, trials: list[int]) -> list[int]:
    """`limit` shared evenly, the first brackets taking the rest, at least one each; 0: as wide as the narrowest."""
    if not limit:
        return [max(trials[-1], int(divisor))] * len(trials)
    each, rest = divmod(max(limit, len(trials)), len(trials))
    return [each + (position < rest) for position in range(len(trials))]


def _number(metrics: dict[str, Any], name: str) -> float:
    """Return a reported metric; raises ValueError naming it and what was reported instead."""
    value = metrics.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FAILED:
        return value
    what = f"is {value!r}, not a finite number" if name in metrics else "was not reported"
    raise ValueError(
        f"the searcher's metric {name!r} {what}; the validation has {', '.join(sorted(metrics)) or 'none'}"
    )
