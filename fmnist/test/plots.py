"""The report's pictures, as SVG in the page's own colours and as PNG data that a self-contained page can embed."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image

from fmnist.test.evaluation import Evaluation
from fmnist.test.robustness import Kind, Robustness
from pipelines.pictures import AMBER, BLUE, chart, drawn

GREY = "#94a3b8"
RED = "#dc2626"
_REDS = LinearSegmentedColormap.from_list("reds", [(0.86, 0.15, 0.15, 0.0), (0.86, 0.15, 0.15, 0.75)])
"""Clear at 0, so that the page's ground shows in light and dark."""


def confusion(evaluation: Evaluation) -> Markup:
    """Confusion matrix: true class by row; the colour shows the share of the row, mistakes only."""
    matrix = evaluation.confusion
    mistakes = matrix.astype(float)
    np.fill_diagonal(mistakes, 0)
    shares = mistakes / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure, axes = chart(6.4, 5.4)
    axes.pcolormesh(shares, cmap=_REDS, vmin=0, vmax=max(float(shares.max()), 0.01))
    for row, column in np.ndindex(*matrix.shape):
        if matrix[row, column]:
            weight = "bold" if row == column else "normal"
            where = (column + 0.5, row + 0.5)
            axes.text(*where, str(matrix[row, column]), ha="center", va="center", fontsize=8, weight=weight)
    ticks = np.arange(len(evaluation.names)) + 0.5
    axes.set_xticks(ticks, evaluation.names, rotation=45, ha="right")
    axes.set_yticks(ticks, evaluation.names)
    axes.invert_yaxis()
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    return drawn(figure, "confusion").markup


def classes(evaluation: Evaluation, floors: Sequence[float]) -> Markup:
    """Precision, recall and F1 of every class as bars, with the floor of its recall as a line."""
    figure, axes = chart(6.4, 3.4)
    positions = np.arange(len(evaluation.names))
    for offset, (measure, colour) in enumerate((("precision", GREY), ("recall", BLUE), ("f1", AMBER))):
        values = [getattr(result, measure) for result in evaluation.classes]
        axes.bar(positions + (offset - 1) * 0.27, values, 0.25, label=measure, color=colour)
    axes.hlines(floors, positions - 0.42, positions + 0.42, color=RED, linewidth=1.5, label="floor of the recall")
    axes.set_xticks(positions, evaluation.names, rotation=45, ha="right")
    lowest = min(min(result.precision, result.recall, result.f1) for result in evaluation.classes)
    axes.set_ylim(max(0.0, min(lowest, *floors) - 0.1), 1.0)
    axes.legend(fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return drawn(figure, "classes").markup


def reliability(evaluation: Evaluation) -> Markup:
    """Accuracy against confidence; a calibrated model lies on the diagonal.  The area of a dot is its answers."""
    figure, axes = chart(4.6, 4.0)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    bins = evaluation.calibration
    axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], color=BLUE, linewidth=1)
    areas = [4 + 200 * entry.count / evaluation.count for entry in bins]
    axes.scatter([b.confidence for b in bins], [b.accuracy for b in bins], s=areas, color=BLUE, alpha=0.6)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    return drawn(figure, "reliability").markup


def robustness(found: Robustness, kind: Kind) -> Markup:
    """Accuracy with its 95 % interval over the strength of one kind of disturbance; the mean confidence as dashes."""
    points = sorted(
        (result for result in (found.undisturbed(kind), *found.results) if result.kind == kind.name),
        key=lambda result: result.strength,
    )
    strengths = [point.strength for point in points]
    figure, axes = chart(3.2, 2.0)
    axes.axhline(found.accuracy, color=GREY, linewidth=1)
    low, high = np.array([point.interval for point in points]).T
    axes.fill_between(strengths, low, high, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(strengths, [point.accuracy for point in points], "o-", color=BLUE, markersize=4)
    axes.plot(strengths, [point.confidence for point in points], "--", color=AMBER, linewidth=1)
    axes.set_xticks(strengths)
    axes.set_xlabel(f"{kind.name} ({kind.unit})", fontsize=8)
    lowest = min(min(result.interval[0], result.confidence) for result in found.results)
    axes.set_ylim(max(0.0, lowest - 0.05), 1.0)
    return drawn(figure, f"robustness {kind.name}").markup


def png(image: npt.NDArray[np.uint8], scale: int = 3) -> str:
    """A data URI of one uint8 [28, 28] image as PNG, dark on white as in a shop's catalogue, enlarged by `scale`."""
    picture = Image.fromarray(255 - image).resize(
        (scale * image.shape[1], scale * image.shape[0]), Image.Resampling.BOX
    )
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
