"""Pictures for report pages: mosaics of images as PNG, charts as SVG in the colours of the page around them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from pipelines.files import Pixels
from pipelines.page import Picture

BLUE = "#3b82f6"
AMBER = "#d97706"
INK = "#010203"
"""Stands for the page's text colour: replaced by `currentColor`, so that a chart follows light and dark."""


def mosaic(rows: Sequence[Pixels], caption: str, columns: int = 20, scale: int = 2) -> Picture:
    """Rows of images uint8 [k, 28, 28], dark on white, at most `columns` of each, enlarged by `scale`."""
    side, gap = 28, 2
    height, width = len(rows) * (side + gap) - gap, columns * (side + gap) - gap
    canvas = np.zeros((max(height, 1), width), np.uint8)
    for row, images in enumerate(rows):
        for column, image in enumerate(images[:columns]):
            top, left = row * (side + gap), column * (side + gap)
            canvas[top : top + side, left : left + side] = image
    picture = Image.fromarray(255 - canvas)
    stream = io.BytesIO()
    picture.resize((scale * width, scale * canvas.shape[0]), Image.Resampling.NEAREST).save(
        stream, "PNG", optimize=True
    )
    data = base64.b64encode(stream.getvalue()).decode()
    source = Markup('<img class="pixels" width="{}" height="{}" alt="{}" src="data:image/png;base64,{}">')
    return Picture(source.format(scale * width, scale * canvas.shape[0], caption, data), caption)


def histogram(values: npt.ArrayLike, caption: str, *, bins: int = 64, label: str = "", log: bool = False) -> Picture:
    """How often values occur, in `bins` bars."""
    figure, axes = chart(5.4, 2.6)
    axes.hist(np.asarray(values).ravel(), bins=bins, color=BLUE, log=log)
    axes.set_xlabel(label)
    return drawn(figure, caption)


def levels(counts: npt.ArrayLike, caption: str) -> Picture:
    """How many pixels have each grey value from 1 to 255, of counts [256]."""
    figure, axes = chart(5.4, 2.6)
    axes.stairs(np.asarray(counts)[1:], np.arange(1, 257) - 0.5, fill=True, color=BLUE)
    axes.set_xlabel("grey value")
    return drawn(figure, caption)


def chart(width: float, height: float) -> tuple[Figure, mpl.axes.Axes]:
    """An empty chart of that size in inches, drawn in the page's ink on a clear ground."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def drawn(figure: Figure, caption: str) -> Picture:
    """A chart as inline SVG; the same figure gives the same bytes."""
    stream = io.StringIO()
    for axes in figure.axes:
        axes.tick_params(colors=INK, labelsize=8)
        for text in (axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels(), *axes.texts):
            text.set_color(INK)
        for spine in axes.spines.values():
            spine.set_edgecolor(INK)
        if legend := axes.get_legend():
            for text in legend.get_texts():
                text.set_color(INK)
    # A salt from the caption and no date: ids differ between the charts of a page, and never between two runs.
    with mpl.rc_context({"svg.hashsalt": caption, "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    svg = stream.getvalue().replace(INK, "currentColor")
    return Picture(Markup(svg[svg.index("<svg") :]), caption)  # noqa: S704 - matplotlib escapes what it draws
