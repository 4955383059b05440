"""What people read of a search: the table of its trials and what stopping early saved."""

from __future__ import annotations

import io

from rich.console import Console

from fmnist.model import curves
from fmnist.model.curves import Curve

WHOLE = Curve(7, {"width": 32, "learning_rate": 0.0123456}, [(1, 0.9, 0.6), (2, 0.5, 0.8), (3, 0.6, 0.81)], (0.45, 0.8))
STOPPED = Curve(8, {"width": 24, "learning_rate": 1e-5}, [(1, 2.2, 0.2)], None)
NEVER_RAN = Curve(9, {"width": 24, "learning_rate": 1e-5}, [], None)


def test_a_trial_is_ranked_by_its_calibrated_weights_else_by_its_best_epoch() -> None:
    assert WHOLE.best == (0.45, 0.8)
    assert STOPPED.best == (2.2, 0.2)
    assert NEVER_RAN.best[0] == float("inf")


def test_the_table_has_a_row_for_each_trial() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(curves.table([WHOLE, STOPPED, NEVER_RAN]))
    rows = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert rows[1].split() == ["7", "32", "0.0123", "3", "0.4500", "0.8000"]
    assert rows[2].split() == ["8", "24", "1e-05", "1", "2.2000", "0.2000", "stopped"]
    assert rows[3].split()[3:5] == ["0", "inf"]


def test_what_was_saved_counts_whole_trials() -> None:
    assert curves.saved([WHOLE, STOPPED], 3) == "4 of 6 epochs trained: stopping early saved 33% of the training"
