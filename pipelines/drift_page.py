"""The page of one batch of fmnist-drift: the tests, both samples side by side, and how each statistic is spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines import image_statistics, page, pictures
from pipelines.batch import Batch
from pipelines.files import Pixels
from pipelines.page import Page, Picture, Section, Table
from pipelines.split import Split
from pipelines.two_sample import Test

COLUMNS, ROWS = 9, 6
"""Of the mosaics, two of which fit side by side."""


def write(path: Path, report: dict[str, Any], tests: list[Test], batch: Batch, reference: Split) -> None:
    """Write the page."""
    facts = [
        ("batch", f"{batch.name}, {report['images']:,} images, {'with' if report['labelled'] else 'without'} labels"),
        ("from", f"{report['source']['repo']}, commit {report['source']['commit'] or 'none'}"),
        ("reference", f"{report['reference']['repo']}, {report['reference']['images']:,} images"),
        ("reference commit", report["reference"]["commit"] or "none"),
    ]
    sections = [
        Section(
            "Tests",
            f"Drift means both: a corrected p of at most {report['alpha']:g} and at least the least effect.",
            tables=[_tests(tests)],
        ),
        Section("Images", "Taken at equal steps from both.", pictures=[
            pictures.mosaic(_sample(batch.images), f"Batch {batch.name}", COLUMNS),
            pictures.mosaic(_sample(reference.images), "Reference", COLUMNS),
        ]),
        Section("Statistics of an image", pictures=_histograms(batch.images, reference.images)),
    ]  # fmt: skip
    if batch.labels is not None:
        counts = [np.bincount(each, minlength=len(reference.class_names)) for each in (batch.labels, reference.labels)]
        sections.insert(1, Section("Class mix", tables=[_classes(counts, reference.class_names)]))
    page.write(
        path,
        Page(
            report["pipeline"], report["verdict"], report["verdict"] == "no drift", report["summary"], facts, sections
        ),
    )


def _tests(tests: list[Test]) -> Table:
    rows = [
        (
            image_statistics.NAMES.get(test.name, test.name),
            test.method,
            f"{test.effect:.3f}",
            f"{test.least_effect:.2f}",
            f"{test.p:.2g}",
            "drift" if test.drifted else "",
        )
        for test in tests
    ]
    marked = frozenset(number for number, test in enumerate(tests) if test.drifted)
    return Table(("of", "test", "effect", "least effect", "corrected p", ""), rows, marked)


def _classes(counts: list[Any], names: tuple[str, ...]) -> Table:
    shares = [each / each.sum() for each in counts]
    rows = [
        (str(label), name, f"{counts[0][label]:,}", f"{shares[0][label]:.1%}", f"{shares[1][label]:.1%}")
        for label, name in enumerate(names)
    ]
    return Table(("label", "class", "images", "share", "share in the reference"), rows)


def _sample(images: Pixels) -> list[Pixels]:
    chosen = images[np.linspace(0, len(images) - 1, min(len(images), COLUMNS * ROWS)).astype(int)]
    return [chosen[start : start + COLUMNS] for start in range(0, len(chosen), COLUMNS)]


def _histograms(images: Pixels, reference: Pixels) -> list[Picture]:
    ours, theirs = image_statistics.measure(images), image_statistics.measure(reference)
    drawn = []
    for name, words in image_statistics.NAMES.items():
        figure, axes = pictures.chart(3.6, 2.2)
        bins = np.histogram_bin_edges(np.concatenate([ours[name], theirs[name]]), 40).tolist()
        for values, colour, label in (
            (theirs[name], pictures.BLUE, "reference"),
            (ours[name], pictures.AMBER, "batch"),
        ):
            weights = np.full(len(values), 100 / len(values))
            axes.hist(values, bins=bins, weights=weights, color=colour, label=label, histtype="step", linewidth=1.6)
        axes.set_ylabel("% of images")
        axes.legend(frameon=False, fontsize=8)
        drawn.append(pictures.drawn(figure, words[0].upper() + words[1:]))
    return drawn
