"""README.md of this folder and its pictures, made from the results: `python -m benchmarks.training.report`."""

from __future__ import annotations

import json
import statistics
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.training import pictures
from benchmarks.training.levels import LEVELS, OURS, first_reached, schedules

HERE = Path(__file__).resolve().parent
RECIPE = "the recipe"


def write(folder: Path) -> None:
    """Write the page and the pictures of whatever results are in `folder`."""
    lines = [
        "# Training: how good, how fast, and why",
        "",
        *paragraph(
            "Generated from the JSON files beside it, which the programs of this folder write (`--help` says how they "
            "measure). No recipe is chosen by the test split; where a test accuracy stands, it was read for that "
            "number alone."
        ),
    ]
    for names, section in SECTIONS.items():
        for path in sorted(folder.glob(names)):
            lines += ["\n".join(section(json.loads(path.read_text()), folder)).rstrip(), ""]
    (folder / "README.md").write_text("\n".join(lines))


def accuracy(results: dict[str, Any], _: Path) -> list[str]:
    """Section: whole trainings of one configuration, their time and test accuracy."""
    columns = {
        "seconds": ("seconds", 0),
        "validation accuracy": ("validation_accuracy", 4),
        "test accuracy": ("test_accuracy", 4),
        "without near-duplicates": ("test_accuracy_without_near_duplicates", 4),
        "test calibration error": ("test_calibration_error", 4),
    }
    by_recipe: dict[str, list[dict[str, Any]]] = {}
    for run in results["runs"]:
        changed = "".join(f", {name} {value}" for name, value in run["overrides"].items())
        by_recipe.setdefault(f"`{run['config']}`{changed}", []).append(run)
    return [
        f"## Accuracy of `{results['runs'][0]['config']}`",
        "",
        *paragraph(
            f"{_made('measure', results)}; mean ± standard deviation over seeds. Seconds are those of the whole "
            "process, start-up and export included. Near-duplicates are test images that train nearly holds."
        ),
        *table(
            ["configuration", "parameters", "seeds", *columns],
            [
                [
                    config,
                    f"{runs[0]['parameters']:,d}",
                    str(len(runs)),
                    *(spread([run[field] for run in runs], digits) for field, digits in columns.values()),
                ]
                for config, runs in by_recipe.items()
            ],
        ),
    ]


def time_to_accuracy(results: dict[str, Any], folder: Path) -> list[str]:
    """Section: seconds to each level, ours beside the peers."""
    runs = results["runs"]
    peers = list(dict.fromkeys(run["recipe"] for run in runs if run["recipe"] != OURS))
    seeds = sorted({run["seed"] for run in runs})
    rows = []
    for level in LEVELS:
        ours, others = first_reached(runs, OURS, level), [first_reached(runs, peer, level) for peer in peers]
        best = min((statistics.mean(each.seconds) for each in others if each.whole), default=None)
        factor = f"{best / statistics.mean(ours.seconds):.1f}" if best and ours.whole else "-"
        words = [f"{spread(each.seconds, 1)} {each.words}" if each.whole else each.words for each in (ours, *others)]
        rows.append([f"{level:.0%}", *words, factor])
    pictures.time_to_accuracy(runs, folder / "time_to_accuracy.png")
    lines = [
        "## Seconds to a test accuracy",
        "",
        *paragraph(
            f"{_made('time_to_accuracy', results)}; mean ± standard deviation over {len(seeds)} seeds, in one run, "
            "recipe after recipe for each seed (the protocol is in the program's first lines). The clock starts with "
            "the process. Ours: the shortest schedule with which every seed reaches the level. Peers: the first of "
            "four evaluations an epoch. The peers are the network of Keras' example mnist_cnn.py, batches of 128. "
            "Its `Adadelta()` meant a rate of 1.0 when it was written; TensorFlow 2 takes 0.001, with which it hardly "
            "learns."
        ),
        *table(["test accuracy", "`const.yaml`", *(PEERS.get(peer, peer) for peer in peers), "times faster"], rows),
        "",
        "![Test accuracy over time of every recipe and seed](time_to_accuracy.png)",
        "",
        *paragraph(
            "Our recipe by the length of its schedule; the last column has the export and its check on the clock too, "
            "and the wait for tf.data's tuner, which training.py has since turned off:"
        ),
    ]
    return lines + table(
        ["epochs", "test accuracy", "seconds until trained", "seconds until exported"],
        [
            [
                str(epochs),
                spread([run["points"][0]["accuracy"] for run in of], 4),
                spread([run["points"][0]["seconds"] for run in of], 1),
                spread([run["seconds"] for run in of], 1),
            ]
            for epochs, of in schedules(runs).items()
        ],
    )


def arithmetic(results: dict[str, Any], folder: Path) -> list[str]:
    """Section: FLOP, rates, share of the peak, and where a step's time goes."""
    variants = grouped(results["runs"], "variant")
    base = variants[RECIPE]
    whole = statistics.mean(run["parts"]["fit"] for run in base)
    flop = base[0]["flop"]
    rows = []
    for name, runs in variants.items():
        rates = [run["images_per_second"] * run["flop"]["training"] / 1e9 for run in runs]
        peaks = [run["peak"] / 1e9 for run in runs]
        rows.append(
            [
                name,
                spread([run["images_per_second"] for run in runs], 0),
                spread(rates, 1),
                spread(peaks, 1),
                f"{statistics.mean(rates) / statistics.mean(peaks):.0%}",
                spread([run["first_step"] for run in runs], 1),
            ]
        )
    pipeline, augmentation = ([run["parts"][name] for run in base] for name in ("pipeline", "augmentation"))
    bfloat16 = base[0]["bfloat16"]
    words = (
        f"has {', '.join(bfloat16)}: the variant bfloat16 is Keras' mixed precision"
        if bfloat16
        else "has no instructions for bfloat16, so nothing to gain from mixed precision"
    )
    pictures.step(base, folder / "step.png")
    return [
        "## The arithmetic limit",
        "",
        *paragraph(
            f"{_made('arithmetic', results)}; mean ± standard deviation over {len(base)} repeats. An image costs "
            f"{flop['forward'] / 1e6:.2f} MFLOP forward and {flop['training'] / 1e6:.2f} MFLOP in training (counted in "
            "the graphs, a multiplication and an addition are two). The peak is that of a float32 matrix product of "
            f"2048 x 2048 on the same threads, one product a tower. The processor {words}."
        ),
        *table(["variant", "images/s", "GFLOP/s", "peak GFLOP/s", "share of the peak", "first step, s"], rows),
        "",
        "![Where the time of a step goes](step.png)",
        "",
        "Milliseconds of a step of the recipe:",
        "",
        *table(
            ["part", "ms", "share"],
            [
                [name, spread(values, 1), f"{statistics.mean(values) / whole:.0%}"]
                for name, values in pictures.parts(base).items()
            ],
        ),
        "",
        *paragraph(
            f"The input pipeline makes a batch in {spread(pipeline, 1)} ms, {spread(augmentation, 1)} ms of them "
            "augmentation; it does so beside the step before."
        ),
    ]


def ablation(results: dict[str, Any], folder: Path) -> list[str]:
    """Section: validation accuracy of each row, and its paired difference to the recipe."""
    rows = grouped(results["runs"], "row")
    differences = pictures.differences(rows, RECIPE)
    pictures.ablation(differences, folder / "ablation.png")
    body = []
    for name, runs in rows.items():
        body.append(
            [
                name,
                spread([run["validation_accuracy"] for run in runs], 4),
                spread(differences[name], 2, sign=True) if name in differences else "",
                spread([run["validation_loss"] for run in runs], 4),
                spread([run["validation_calibration_error"] for run in runs], 4),
                spread([run["seconds"] for run in runs], 0),
                str(len(runs)),
            ]
        )
    return [
        "## What each choice is worth",
        "",
        *paragraph(
            f"{_made('ablation', results)}; mean ± standard deviation over seeds, each with other images kept for "
            "validation. Each row takes one choice back; the difference, in percentage points, is paired by seed."
        ),
        *table(
            ["", "validation accuracy", "difference", "validation loss", "calibration error", "seconds", "seeds"], body
        ),
        "",
        "![Differences to the recipe](ablation.png)",
    ]


def quantised(results: dict[str, Any], _: Path) -> list[str]:
    """Section: smaller forms of the exported model."""
    forms: dict[str, list[dict[str, Any]]] = {}
    for run in results["runs"]:
        for form, values in run["forms"].items():
            forms.setdefault(form, []).append(values)
    return [
        "## Smaller forms of the exported model",
        "",
        *paragraph(
            f"{_made('quantised', results)}, LiteRT on one thread; the same weights in each form, mean ± standard "
            f"deviation over {len(next(iter(forms.values())))} seeds with five timings each (processor time). Accuracy "
            "is that on the images kept for validation."
        ),
        *table(
            ["form", "kB", "validation accuracy", "answers that differ", "one image, ms", "images/s, 500 at once"],
            [
                [
                    name,
                    spread([run["bytes"] / 1000 for run in runs], 0),
                    spread([run["validation_accuracy"] for run in runs], 4),
                    spread([100 * run["differ"] for run in runs], 2) + " %",
                    spread([value for run in runs for value in run["single"]], 3),
                    spread([value for run in runs for value in run["batch"]], 0),
                ]
                for name, runs in forms.items()
            ],
        ),
    ]


def paragraph(text: str) -> list[str]:
    """Lines of at most 120 characters, and an empty one behind them."""
    return [*textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False), ""]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def spread(values: Sequence[float], digits: int, *, sign: bool = False) -> str:
    """Mean ± standard deviation; the mean alone where there is one value."""
    mean = f"{statistics.mean(values):{'+' if sign else ''}.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def grouped(runs: Iterable[dict[str, Any]], field: str) -> dict[str, list[dict[str, Any]]]:
    """Runs by the value of a field, in the order of their first appearance."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault(run[field], []).append(run)
    return groups


def _made(program: str, results: dict[str, Any]) -> str:
    return f"`python -m benchmarks.training.{program}`, {results['hardware']}"


PEERS = {"adadelta": "Adadelta, rate 1.0", "adadelta-tf2": "Adadelta, rate 0.001", "adam": "Adam"}

SECTIONS: dict[str, Callable[[dict[str, Any], Path], list[str]]] = {
    "accuracy-*.json": accuracy,
    "time_to_accuracy.json": time_to_accuracy,
    "arithmetic.json": arithmetic,
    "ablation.json": ablation,
    "quantised.json": quantised,
}

if __name__ == "__main__":
    write(HERE)
