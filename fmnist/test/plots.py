"""The report's pictures, as SVG or PNG data that a self-contained page can embed."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from fmnist.test.evaluation import Evaluation

BLUE = "#2563eb"
GREY = "#94a3b8"


def confusion(evaluation: Evaluation) -> str:
    """Confusion matrix: true class by row; the colour shows the share of the row, mistakes only."""
    matrix = evaluation.confusion
    mistakes = matrix.astype(float)
    np.fill_diagonal(mistakes, 0)
    shares = mistakes / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    darkest = max(float(shares.max()), 0.01)
    axes.imshow(shares, cmap="Reds", vmin=0, vmax=darkest)
    for row, column in np.ndindex(*matrix.shape):
        if matrix[row, column]:
            weight = "bold" if row == column else "normal"
            ink = "white" if shares[row, column] > 0.6 * darkest else "black"
            words = str(matrix[row, column])
            axes.text(column, row, words, ha="center", va="center", fontsize=8, weight=weight, color=ink)
    ticks = range(len(evaluation.names))
    axes.set_xticks(ticks, evaluation.names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(ticks, evaluation.names, fontsize=8)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    return _svg(figure)


def classes(evaluation: Evaluation, floor: float) -> str:
    """Precision, recall and F1 of every class as bars, with the accuracy threshold as a line."""
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    positions = np.arange(len(evaluation.names))
    for offset, (measure, colour) in enumerate((("precision", GREY), ("recall", BLUE), ("f1", "#f59e0b"))):
        values = [getattr(result, measure) for result in evaluation.classes]
        axes.bar(positions + (offset - 1) * 0.27, values, 0.25, label=measure, color=colour)
    axes.axhline(floor, color="#dc2626", linewidth=1, linestyle="--", label="accuracy threshold")
    axes.set_xticks(positions, evaluation.names, rotation=45, ha="right", fontsize=8)
    lowest = min(min(result.precision, result.recall, result.f1) for result in evaluation.classes)
    axes.set_ylim(max(0.0, min(lowest, floor) - 0.1), 1.0)
    axes.legend(fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return _svg(figure)


def reliability(evaluation: Evaluation) -> str:
    """Accuracy against confidence; a calibrated model lies on the diagonal.  The area of a dot is its answers."""
    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    bins = evaluation.calibration
    axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], color=BLUE, linewidth=1)
    areas = [4 + 200 * entry.count / evaluation.count for entry in bins]
    axes.scatter([b.confidence for b in bins], [b.accuracy for b in bins], s=areas, color=BLUE, alpha=0.6)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return _svg(figure)


def png(image: npt.NDArray[np.uint8], scale: int = 3) -> bytes:
    """A PNG of one uint8 [28, 28] image, dark on white as in a shop's catalogue, enlarged by `scale`."""
    picture = Image.fromarray(255 - image).resize(
        (scale * image.shape[1], scale * image.shape[0]), Image.Resampling.BOX
    )
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    # A fixed salt and no date: the same results give the same page.
    with mpl.rc_context({"svg.hashsalt": "fashion-classifier", "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]
