"""The page of the feedback split: how right each model version was, what was confused, and what was left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines import page, pictures
from pipelines.feedback import Examples
from pipelines.page import Page, Section, Table
from pipelines.split import PASSED

SHOWN = 20
"""Images of each class in the mosaic: the first ones."""


def write(path: Path, report: dict[str, Any], taken: Examples) -> None:
    """Write the page."""
    source, names = report["source"], report["class_names"]
    facts = [
        ("images", f"{report['images']:,}"),
        ("feedbacks", f"{report['feedbacks']:,}"),
        ("repetitions merged", f"{report['repeated']:,}"),
        ("images with contradictory truths", f"{report['contradicted']:,}"),
        ("malformed lines", f"{report['rejected']['lines']:,}"),
        ("source", f"{source['repo']}@{source['commit'] or 'no commit'}"),
    ]
    sections = [*_models(report, names), *_images(report, names, taken), *_left_out(report)]
    good = report["verdict"] == PASSED
    page.write(path, Page(report["pipeline"], report["verdict"], good, report["summary"] + ".", facts, sections))


def _models(report: dict[str, Any], names: list[str]) -> list[Section]:
    if not report["model_versions"]:
        return []
    versions = Table(
        ("model version", "predictions", "right", "accuracy"),
        [
            (each["model_version"], f"{each['predictions']:,}", f"{each['right']:,}", f"{each['accuracy']:.1%}")
            for each in report["model_versions"]
        ],
    )
    words = "People answer where they care, so this is no estimate of the accuracy over all predictions."
    confusion = Table(
        ("truth, then answers", *names),
        [
            (name, *(f"{count:,}" if count else "" for count in row))
            for name, row in zip(names, report["confusion"], strict=True)
            if any(row)
        ],
    )
    answers = "How often each class was answered (columns), by what the image shows (rows)."
    return [Section("Model versions", words, [versions]), Section("Answers", answers, [confusion])]


def _images(report: dict[str, Any], names: list[str], taken: Examples) -> list[Section]:
    present = [label for label, count in enumerate(report["class_counts"]) if count]
    if not present:
        return []
    rows = [taken.images[taken.labels == label][:SHOWN] for label in present]
    classes = Table(
        ("label", "class", "images"),
        [(str(label), names[label], f"{report['class_counts'][label]:,}") for label in present],
    )
    caption = f"The first {SHOWN} images of each of these classes, in the order of the table"
    return [Section("Images", tables=[classes], pictures=[pictures.mosaic(rows, caption, SHOWN)])]


def _left_out(report: dict[str, Any]) -> list[Section]:
    if not report["rejected"]["lines"] and not report["files_with_nothing_valid"]:
        return []
    listed = report["rejected"]["first"]
    lines = Table(("file", "line", "why"), [(each["file"], str(each["line"]), each["reason"]) for each in listed])
    nothing = ", ".join(report["files_with_nothing_valid"])
    text = f"{report['rejected']['lines']:,} lines, of which the first {len(listed)} are listed."
    return [Section("Left out", text + (f" Files with nothing valid: {nothing}." if nothing else ""), [lines])]
