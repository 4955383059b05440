"""Writes the report's files: JSON, Markdown, a self-contained HTML page, and the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from data.catalog import CLASS_NAMES
from fmnist.test import plots, robustness
from fmnist.test.evaluation import Evaluation
from fmnist.test.report import Findings
from pipelines import page as pipelines_page

MISTAKES = 20
"""Number of most confident mistakes shown as pictures."""

NAMES = ("report.md", "report.html", "model_card.md")
WRITTEN = ("report.json", *NAMES)


def write(folder: Path, document: Mapping[str, Any], found: Findings) -> None:
    """Write `report.json`, `report.md`, `report.html` and `model_card.md` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(document, indent=2) + "\n")
    evaluation, images = found.evaluation, found.split.images
    example = images[found.robustness.positions[-1]]
    context = {
        "report": document,
        "names": evaluation.names,
        "is_fashion": evaluation.names == CLASS_NAMES,
        "mistakes": [_mistake(evaluation, int(position), images) for position in evaluation.worst_mistakes(MISTAKES)],
        "pictures": {
            "confusion": plots.confusion(evaluation),
            "classes": plots.classes(evaluation, found.settings.floors.of(evaluation.names)),
            "reliability": plots.reliability(evaluation),
        },
        "disturbances": [
            {
                "name": kind.name,
                "unit": kind.unit,
                "picture": plots.robustness(found.robustness, kind),
                "examples": [
                    (strength, plots.png(robustness.disturbed(kind, strength, example[None])[0], 2))
                    for strength in kind.strengths
                ],
            }
            for kind in robustness.KINDS
        ],
    }
    environment = _environment()
    for name in NAMES:
        (folder / name).write_text(environment.get_template(f"{name}.j2").render(context))


def _mistake(evaluation: Evaluation, position: int, images: robustness.Images) -> dict[str, Any]:
    return {
        "position": position,
        "truth": evaluation.names[evaluation.labels[position]],
        "answer": evaluation.names[evaluation.answers[position]],
        "confidence": float(evaluation.confidences[position]),
        "png": plots.png(images[position]),
    }


def _environment() -> jinja2.Environment:
    """Own templates first; the page's ground and colours are those of the pipelines' reports."""
    folders = [Path(module).parent / "templates" for module in (__file__, pipelines_page.__file__)]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"share": _share, "signed": _signed, "percent": _percent, "cell": _cell}
    return environment


def _share(value: float | None) -> str:
    return "not recorded" if value is None else f"{value:.4f}"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _cell(value: object) -> str:
    """Text in a cell of a Markdown table."""
    return str(value).replace("|", "\\|").replace("\n", " ")
