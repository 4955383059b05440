"""When a recipe has reached a level of test accuracy: the rules of the table in time_to_accuracy.py."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LEVELS = (0.90, 0.91, 0.92, 0.93)
OURS = "ours"


@dataclass(frozen=True)
class Reached:
    """Seconds to a level, one value a seed; `whole` says that all seeds reached it, `words` how."""

    seconds: list[float]
    whole: bool
    words: str


def schedules(runs: Sequence[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Our runs by the length of their schedule in epochs, the shortest first."""
    lengths = sorted({run["epochs"] for run in runs if run["recipe"] == OURS})
    return {length: [run for run in runs if run["recipe"] == OURS and run["epochs"] == length] for length in lengths}


def first_reached(runs: Sequence[dict[str, Any]], recipe: str, level: float) -> Reached:
    """Ours: the shortest schedule with which every seed reaches `level`.  A peer: each seed's first look that does."""
    if recipe == OURS:
        seeds = {run["seed"] for run in runs if run["recipe"] == OURS}
        for epochs, of in schedules(runs).items():
            points = [run["points"][-1] for run in of if run["points"][-1]["accuracy"] >= level]
            if len(points) == len(seeds):
                return Reached([point["seconds"] for point in points], True, f"({epochs} epoch{'s' * (epochs > 1)})")
        return Reached([], False, "not reached")
    of = [run for run in runs if run["recipe"] == recipe]
    found = [next((point for point in run["points"] if point["accuracy"] >= level), None) for run in of]
    reached = [point for point in found if point is not None]
    seconds = [point["seconds"] for point in reached]
    if len(reached) < len(of):
        return Reached(seconds, False, f"{len(reached)} of {len(of)} seeds" if reached else "not reached")
    return Reached(seconds, True, f"({statistics.mean(point['epochs'] for point in reached):.1f} epochs)")
