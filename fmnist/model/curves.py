"""The trials of a search as people compare them: what was varied, how far each came, and what stopping early saved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from determined.experimental.client import Experiment
from rich.table import Table


@dataclass(frozen=True)
class Curve:
    """One trial: its varied hyperparameters, and (epochs, validation loss, validation accuracy) by epoch.

    `final` is the validation of the calibrated best weights, None where the trial was stopped before it.
    """

    trial_id: int
    hyperparameters: Mapping[str, Any]
    epochs: Sequence[tuple[int, float, float]]
    final: tuple[float, float] | None

    @property
    def trained(self) -> int:
        """How many epochs the trial trained."""
        return self.epochs[-1][0] if self.epochs else 0

    @property
    def best(self) -> tuple[float, float]:
        """(loss, accuracy) to rank the trial by: the final validation, else the epoch with the lowest loss."""
        if self.final:
            return self.final
        return min((point[1:] for point in self.epochs), default=(float("inf"), 0.0))


def read(experiment: Experiment) -> list[Curve]:
    """All trials of an experiment, the best first."""
    space = (experiment.config or {})["hyperparameters"]
    varied = [name for name, axis in space.items() if isinstance(axis, dict) and axis.get("type") != "const"]
    return sorted((_curve(trial, varied) for trial in experiment.list_trials()), key=lambda curve: curve.best[0])


def epochs(experiment: Experiment) -> int:
    """How many epochs a whole trial of an experiment has."""
    axis = (experiment.config or {})["hyperparameters"]["epochs"]
    # Determined's master holds a constant as such an axis, whichever way the configuration says it.
    return int(axis["val"] if isinstance(axis, dict) else axis)


def table(curves: Sequence[Curve]) -> Table:
    """The trials as a table for the terminal, in the given order; loss and accuracy are the validation's."""
    names = list(curves[0].hyperparameters)
    shown = Table(box=None, header_style="bold")
    for name in ("trial", *names, "epochs", "loss", "accuracy", ""):
        shown.add_column(name, overflow="fold")
    for curve in curves:
        values = [_short(curve.hyperparameters[name]) for name in names]
        loss, accuracy = curve.best
        end = "" if curve.final else "stopped"
        shown.add_row(str(curve.trial_id), *values, str(curve.trained), f"{loss:.4f}", f"{accuracy:.4f}", end)
    return shown


def saved(curves: Sequence[Curve], epochs: int) -> str:
    """A sentence on how much training the search did without; `epochs` is a whole trial."""
    trained, whole = sum(curve.trained for curve in curves), epochs * len(curves)
    share = 1 - trained / whole
    return f"{trained} of {whole} epochs trained: stopping early saved {share:.0%} of the training"


def _curve(trial: Any, varied: Sequence[str]) -> Curve:
    epochs: dict[int, tuple[int, float, float]] = {}
    final = None
    for report in trial.iter_metrics("validation"):
        values = report.metrics
        loss = float(values["validation_loss"])
        if math.isnan(loss):
            loss = math.inf  # NaN has no place in an order
        point = (int(values["epochs"]), loss, float(values["validation_accuracy"]))
        # The final validation comes one step after the last epoch's.
        if point[0] in epochs:
            final = point[1:]
        else:
            epochs[point[0]] = point
    return Curve(trial.id, {name: trial.hparams[name] for name in varied}, [epochs[e] for e in sorted(epochs)], final)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
