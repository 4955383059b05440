"""The page of fmnist-leakage: counts by class, how near the nearest training images are, and the pairs themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines import page, pictures
from pipelines.correlation import Neighbours
from pipelines.page import Page, Picture, Section, Table
from pipelines.split import Split

COLUMNS = 9
"""Of a gallery, two of which fit side by side."""
LISTED = 48
BANDS = (0.1, 0.12, 0.15, 0.2, 0.3, 0.5)
"""Distances at which a row of pairs shows what the numbers mean."""


def write(path: Path, report: dict[str, Any], found: Neighbours, train: Split, test: Split) -> None:
    """Write the page; both splits are the ones that `found` compares."""
    gallery = _Gallery(found, train, test)
    order = np.argsort(found.distances, kind="stable")
    near = order[: report["test_images"]][:LISTED]
    otherwise = order[(test.labels != train.labels[found.nearest])[order]][:COLUMNS]
    names = report["class_names"]
    sources = report["sources"].items()
    facts = [
        ("near-duplicate", f"distance at most {report['threshold']}"),
        ("distance", report["metric"]),
        *((name, f"{source['images']:,} images, commit {source['commit'] or 'none'}") for name, source in sources),
    ]
    sections = [
        Section("By class", tables=[_classes(report, found, test)]),
        Section(
            "Distance to the nearest training image",
            "A larger threshold takes in pairs that are only alike: the rows below show from where on.",
            tables=[_within(report)],
            pictures=[_histogram(found.distances, report["threshold"])],
        ),
        Section(
            "Near-duplicates",
            f"Nearest first, {len(near)} of {report['test_images']}: the test image above, the training image below.",
            tables=[_listed(near, found, train, test, names)],
            pictures=gallery.rows(near, "Near-duplicates"),
        ),
        Section(
            "What a distance looks like",
            "Each picture: the pairs from that distance on.",
            pictures=[each for band in BANDS for each in gallery.rows(_from(order, found, band), f"From {band:g} on")],
        ),
        Section(
            "Nearest of another class",
            "The closest pairs whose labels differ, whether near-duplicates or not: one of two labels may be wrong.",
            tables=[_listed(otherwise, found, train, test, names)],
            pictures=gallery.rows(otherwise, "Closest pairs with two labels"),
        ),
    ]
    verdict, clean = report["verdict"], report["test_images"] == 0
    page.write(path, Page(report["pipeline"], verdict, clean, report["summary"], facts, sections))


class _Gallery:
    def __init__(self, found: Neighbours, train: Split, test: Split) -> None:
        self._found, self._train, self._test = found, train, test

    def rows(self, positions: npt.NDArray[np.int64], caption: str) -> list[Picture]:
        """Test images above, their nearest training images below; several pictures where one row is too short."""
        parts = [positions[start : start + COLUMNS] for start in range(0, len(positions), COLUMNS)]
        return [
            pictures.mosaic(
                [self._test.images[part], self._train.images[self._found.nearest[part]]],
                f"{caption}: distance {self._found.distances[part[0]]:.3f} to {self._found.distances[part[-1]]:.3f}",
                COLUMNS,
            )
            for part in parts
        ]


def _from(order: npt.NDArray[np.int64], found: Neighbours, band: float) -> npt.NDArray[np.int64]:
    start = int(np.searchsorted(found.distances[order], band))
    return order[start : start + COLUMNS]


def _classes(report: dict[str, Any], found: Neighbours, test: Split) -> Table:
    rows = []
    for label, name in enumerate(report["class_names"]):
        distances = found.distances[test.labels == label]
        middle = f"{np.median(distances):.3f}" if len(distances) else ""
        rows.append((str(label), name, f"{len(distances):,}", str(report["by_class"][label]), middle))
    return Table(("label", "class", "test images", "with a near-duplicate", "median distance to the nearest"), rows)


def _within(report: dict[str, Any]) -> Table:
    rows = [
        (limit, f"{counts['test_images']:,}", str(counts["nearest_has_another_label"]))
        for limit, counts in report["within"].items()
    ]
    return Table(("at most", "test images", "whose nearest has another label"), rows)


def _listed(positions: npt.NDArray[np.int64], found: Neighbours, train: Split, test: Split, names: list[str]) -> Table:
    rows = [
        (
            str(position),
            names[test.labels[position]],
            str(found.nearest[position]),
            names[train.labels[found.nearest[position]]],
            f"{found.distances[position]:.4f}",
        )
        for position in positions
    ]
    different = frozenset(number for number, row in enumerate(rows) if row[1] != row[3])
    return Table(("test", "class", "train", "class there", "distance"), rows, different)


def _histogram(distances: npt.NDArray[np.float64], threshold: float) -> Picture:
    figure, axes = pictures.chart(6.4, 2.6)
    axes.hist(distances, bins=80, color=pictures.BLUE)
    axes.axvline(threshold, color=pictures.AMBER)
    axes.set_xlabel("distance to the nearest training image; the line is the threshold")
    axes.set_ylabel("test images")
    return pictures.drawn(figure, "Test images by distance to their nearest training image")
