"""What each choice of the recipe is worth: `python -m benchmarks.training.ablation --seeds 1 2 3 4 5`.

A row takes one choice of const.yaml back and changes nothing else; all rows have the same seeds, so a row's difference
to the recipe is a mean of paired differences.  Accuracy is that on the 5,000 images that every training keeps for
validation: the test split plays no part.  Seed by seed, so that all rows grow together; what the results file holds is
not run again.
"""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

from benchmarks.training import report, setting, trial

RESULTS = "ablation.json"
RECIPE = "the recipe"

ROWS: dict[str, dict[str, Any]] = {
    RECIPE: {},
    "AdamW in place of Muon": {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.05},
    "label smoothing of 0.03": {"label_smoothing": 0.03},
    "label smoothing of 0.1": {"label_smoothing": 0.1},
    "late stage of 64 filters": {"late_width": 64},
    "no mirrored images": {"flip": False},
    "images shifted by up to one pixel": {"shift": 1},
    "squares of 8 pixels erased": {"erase": 8},
    "no weight decay": {"weight_decay": 0.0},
    "no warm-up": {"warmup": 0.0},
    "every operation shared out among the cores, no towers": {"towers": 1},
    "batches of 64": {"batch_size": 64},
    "batches of 256": {"batch_size": 256},
}
"""Overrides of const.yaml's hyperparameters by what the row says."""


def main() -> int:
    """Measure what the results file does not hold yet and write the page."""
    parser = setting.parser("ablation", __doc__, range(1, 6))
    parser.add_argument("--rows", nargs="*", default=list(ROWS), metavar="ROW", choices=ROWS, help=f"of {list(ROWS)}")
    arguments = parser.parse_args()
    check(setting.recipe())
    folder = setting.results_folder(arguments)
    keys = {row: {"row": row, "overrides": ROWS[row], "code": setting.trained_code()} for row in ROWS}
    store = setting.Store.open(folder / RESULTS, list(keys.values()))
    console = Console(highlight=False, soft_wrap=True)
    rows = dict.fromkeys([RECIPE, *arguments.rows])
    wanted = [(seed, row) for seed in arguments.seeds for row in rows]
    with setting.splits(arguments) as data, setting.progress(console) as progress:
        task = progress.add_task("", total=len(wanted))
        for seed, row in wanted:
            progress.update(task, description=f"seed {seed}: {row}")
            key = {**keys[row], "seed": seed}
            if store.find(key) is None:
                done = trial.run(data / "train", seed, {**(setting.QUICK if arguments.quick else {}), **ROWS[row]})
                metrics = done.model.metadata["metrics"]
                store.add(key, {**metrics, "seconds": done.trained, "load": done.load})
                console.print(f"seed {seed}, {row}: {done.validation_accuracy:.4f}, {done.trained:.1f} s")
            progress.advance(task)
    report.write(folder)
    console.print(f"{folder / 'README.md'}")
    return 0


def check(recipe: dict[str, Any]) -> None:
    """SystemExit, before hours of measuring, where a row names what const.yaml has not, or changes nothing."""
    for row, overrides in ROWS.items():
        for name, value in overrides.items():
            if name not in recipe:
                raise SystemExit(f"row {row!r}: const.yaml has no hyperparameter {name}; it has {', '.join(recipe)}")
            if recipe[name] == value:
                raise SystemExit(f"row {row!r}: const.yaml already has {name}={value}")


if __name__ == "__main__":
    sys.exit(main())
