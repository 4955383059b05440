"""Shows the course of an experiment: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import time
from typing import Any

from determined.common.experimental.experiment import TERMINAL_STATES
from determined.experimental.client import Experiment
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

INTERVAL = 1.0
"""Seconds between two looks at the master."""


def follow(experiment: Experiment, console: Console | None = None) -> None:
    """Return when the experiment has ended, in whatever state; it may run for any length of time."""
    console = console or Console(highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        line = bar.add_task(f"experiment {experiment.id}", total=1.0, note="waiting for a slot")
        shown = 0
        while True:
            experiment.reload()
            reports = _validations(experiment)
            if reports:
                bar.update(line, note=_note(reports))
            bar.update(line, completed=experiment.progress or 0.0)
            if not console.is_terminal:
                for report in reports[shown:]:
                    console.print(f"  {_note([report])}")
                shown = len(reports)
            if experiment.state in TERMINAL_STATES:
                return
            time.sleep(INTERVAL)


def _validations(experiment: Experiment) -> list[dict[str, Any]]:
    reports = []
    for trial in experiment.list_trials():
        epochs: set[int] = set()
        for report in trial.iter_metrics("validation"):
            # The final validation comes one step after the last epoch's.
            final = report.metrics["epochs"] in epochs
            epochs.add(report.metrics["epochs"])
            reports.append({"trial": trial.id, "at": report.end_time, "final": final, **report.metrics})
    return sorted(reports, key=lambda report: (report["at"], report["trial"]))


def _note(reports: list[dict[str, Any]]) -> str:
    last = reports[-1]
    best = max(report.get("validation_accuracy", 0.0) for report in reports)
    stage = "best weights, calibrated" if last["final"] else f"epoch {last['epochs']}"
    text = f"trial {last['trial']}, {stage}: validation accuracy {last['validation_accuracy']:.4f}"
    return text if len(reports) == 1 else f"{text} (best {best:.4f})"
