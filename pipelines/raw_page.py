"""The page of an accepted split: its checks, a mosaic of every class, and how the grey values are spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines import measures, page, pictures
from pipelines.page import Page, Section, Table
from pipelines.validation import Findings

SHOWN = 20
"""Images of each class in the mosaic: the first ones."""


def write(path: Path, report: dict[str, Any], found: Findings) -> None:
    """Write the page of an accepted split."""
    assert found.images is not None
    assert found.labels is not None
    names = report["class_names"]
    source = report["source"]
    facts = [
        ("images", f"{report['images']:,}"),
        ("source", f"{source['repo']}@{source['commit'] or 'no commit'}"),
        *((name, f"{file['size']:,} bytes, SHA-256 {file['sha256']}") for name, file in report["inputs"].items()),
    ]
    checks = Table(("check", "found", "demanded"), [(check.name, check.value, check.bound) for check in found.checks])
    classes = Table(
        ("label", "class", "images", "mean", "std", "background"),
        [
            (str(label), name, f"{count:,}", *_statistics(report["class_pixels"][label]))
            for label, (name, count) in enumerate(zip(names, report["class_counts"], strict=True))
        ],
    )
    rows = [found.images[np.flatnonzero(found.labels == label)[:SHOWN]] for label in range(len(names))]
    ink = (found.images.reshape(len(found.images), -1)).mean(axis=1)
    sections = [
        Section("Classes", tables=[classes], pictures=[
            pictures.mosaic(rows, f"The first {SHOWN} images of each class, in the order of the table", SHOWN),
        ]),
        Section("Checks", "All of them hold; a split that fails one is never written.", tables=[checks]),
        Section("Grey values", pictures=[
            pictures.histogram(ink, "Mean grey value of an image", bins=64, label="mean of 784 pixels, 0 to 255"),
            pictures.levels(measures.levels(found.images), "Pixels by grey value; 0, the background, is left out"),
        ]),
        Section("Duplicates", _words(report["duplicates"])),
    ]  # fmt: skip
    summary = f"{report['images']:,} images of {len(names)} classes; {len(found.checks)} checks, all passed."
    page.write(path, Page(report["pipeline"], report["verdict"], True, summary, facts, sections))


def _statistics(statistics: dict[str, float] | None) -> tuple[str, str, str]:
    if statistics is None:
        return ("", "", "")
    return (f"{statistics['mean']:.1f}", f"{statistics['std']:.1f}", f"{statistics['background']:.1%}")


def _words(duplicates: dict[str, Any]) -> str:
    if not duplicates["images"]:
        return "No image repeats another in every pixel."
    groups = "; ".join(", ".join(map(str, group)) for group in duplicates["positions"][:20])
    return (
        f"{duplicates['images']} images repeat an earlier one, in {duplicates['groups']} groups. "
        f"Positions (the first 20 groups; report.json lists more): {groups}."
    )
