"""What people read of a search: the table of its trials and what stopping early saved."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
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


@pytest.mark.parametrize("constant", [lambda value: value, lambda value: {"type": "const", "val": value}])
def test_a_constant_is_not_varied_in_whatever_form_the_master_holds_it(constant: Any) -> None:
    """Determined's master answers with a configuration in which every constant is a mapping."""
    space = {"epochs": constant(9), "flip": constant(True), "width": {"type": "categorical", "vals": [48, 64]}}
    report = SimpleNamespace(metrics={"epochs": 1, "validation_loss": 0.5, "validation_accuracy": 0.8})
    trial = SimpleNamespace(id=1, hparams={"epochs": 9, "flip": True, "width": 48}, iter_metrics=lambda _: [report])
    experiment: Any = SimpleNamespace(config={"hyperparameters": space}, list_trials=lambda: [trial])
    (curve,) = curves.read(experiment)
    assert curve.hyperparameters == {"width": 48}
    assert curves.saved([curve], curves.epochs(experiment)).startswith("1 of 9 epochs trained")


def test_a_loss_that_is_no_number_is_the_worst() -> None:
    def trial(number: int, *losses: Any) -> Any:
        values = [
            {"epochs": n, "validation_loss": loss, "validation_accuracy": 0.1} for n, loss in enumerate(losses, 1)
        ]
        reports = [SimpleNamespace(metrics=value) for value in values]
        return SimpleNamespace(id=number, hparams={}, iter_metrics=lambda _: reports)

    trials = [trial(1, "NaN", "NaN"), trial(2, 0.4), trial(3, "NaN", 0.3), trial(4, "Infinity")]
    experiment: Any = SimpleNamespace(config={"hyperparameters": {}}, list_trials=lambda: trials)
    assert [(curve.trial_id, curve.best[0]) for curve in curves.read(experiment)] == [
        (3, 0.3),
        (2, 0.4),
        (1, float("inf")),
        (4, float("inf")),
    ]
