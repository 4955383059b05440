"""The pictures of README.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from benchmarks.training.levels import LEVELS, OURS, schedules

COLOURS = {OURS: "tab:red", "adadelta": "tab:blue", "adadelta-tf2": "tab:gray", "adam": "tab:green"}
NAMES = {OURS: "const.yaml, one point a schedule", "adadelta": "Keras' example, Adadelta", "adam": "the same, Adam"}
KINDS = 8
"""Kinds of operation that the picture shows by name."""

Runs = Sequence[Mapping[str, Any]]


def time_to_accuracy(runs: list[dict[str, Any]], path: Path) -> None:
    """Every run's test accuracy over its clock; ours as mean and standard deviation of each schedule."""
    figure, axes = plt.subplots(figsize=(9, 4.6), layout="constrained")
    seen = set()
    for run in runs:
        name = run["recipe"]
        if name != OURS:
            points = run["points"]
            seconds, accuracies = ([point[field] for point in points] for field in ("seconds", "accuracy"))
            label = None if name in seen else NAMES.get(name, name)
            axes.plot(seconds, accuracies, color=COLOURS[name], linewidth=1, alpha=0.6, label=label)
            seen.add(name)
    columns = [[run["points"][-1] for run in of] for of in schedules(runs).values()]
    if columns:
        (x, across), (y, up) = (_spread(columns, field) for field in ("seconds", "accuracy"))
        axes.errorbar(x, y, xerr=across, yerr=up, marker="o", capsize=3, color=COLOURS[OURS], label=NAMES[OURS])
    for level in LEVELS:
        axes.axhline(level, color="gray", linewidth=0.8, linestyle=":")
    axes.set(xlabel="seconds from the start of the process", ylabel="test accuracy")
    lowest = min(point["accuracy"] for run in runs for point in run["points"])
    axes.set_ylim(max(lowest, 0.85) - 0.005, None)
    axes.set_xlim(left=0)
    axes.legend(frameon=False, loc="lower right")
    _save(figure, path)


def parts(runs: Runs) -> dict[str, list[float]]:
    """Milliseconds of a step in `model.fit` by what they go to; a difference of two measurements can be negative."""
    of = [run["parts"] for run in runs]
    return {
        "forward": [each["forward"] for each in of],
        "backward": [each["forward_backward"] - each["forward"] for each in of],
        "optimiser and metrics": [each["step"] - each["forward_backward"] for each in of],
        "`model.fit` around the step": [each["fit"] - each["step"] for each in of],
    }


def step(runs: Runs, path: Path) -> None:
    """The parts of a step beside the kinds of operation in it."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    by_part = {name.replace("`", ""): statistics.mean(values) for name, values in parts(runs).items()}
    ops: dict[str, float] = {}
    for run in runs:
        for kind, milliseconds in run["ops"].items():
            ops[kind] = ops.get(kind, 0.0) + milliseconds / len(runs)
    longest = sorted(ops, key=lambda kind: -ops[kind])
    by_kind = {kind: ops[kind] for kind in longest[:KINDS]} | {"all others": sum(ops[kind] for kind in longest[KINDS:])}
    for axes, title, values in (
        (left, "by part", by_part),
        (right, "by kind of operation, all threads", by_kind),
    ):
        axes.barh(list(values), list(values.values()), color="tab:blue")
        axes.invert_yaxis()
        axes.set(title=title, xlabel="ms a step")
    _save(figure, path)


def differences(rows: Mapping[str, Runs], recipe: str) -> dict[str, list[float]]:
    """What each row's validation accuracy differs from the recipe's of the same seed, in percentage points."""
    base = {run["seed"]: run["validation_accuracy"] for run in rows[recipe]}
    return {
        name: [100 * (run["validation_accuracy"] - base[run["seed"]]) for run in runs if run["seed"] in base]
        for name, runs in rows.items()
        if name != recipe
    }


def ablation(differences: Mapping[str, Sequence[float]], path: Path) -> None:
    """Each row's difference to the recipe: every seed a dot, the mean a bar."""
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.4 * len(differences)), layout="constrained")
    for height, paired in enumerate(differences.values()):
        axes.barh(height, statistics.mean(paired), color="tab:blue", alpha=0.4)
        axes.plot(paired, [height] * len(paired), "o", color="tab:blue", markersize=4)
    axes.set_yticks(range(len(differences)), list(differences))
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("validation accuracy against the recipe, percentage points")
    _save(figure, path)


def _spread(columns: Sequence[Sequence[Mapping[str, float]]], field: str) -> tuple[list[float], list[float]]:
    values = [[point[field] for point in column] for column in columns]
    return [statistics.mean(of) for of in values], [statistics.stdev(of) if len(of) > 1 else 0.0 for of in values]


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
