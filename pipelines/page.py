"""The report page: one self-contained HTML file for people, from one template; light, dark, and narrow screens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from pipelines.files import write_bytes


@dataclass(frozen=True)
class Picture:
    """A picture that needs nothing from elsewhere: `markup` is an inline SVG or an <img> with a data URI."""

    markup: Markup
    caption: str


@dataclass(frozen=True)
class Table:
    """Cells are plain text; `marked` names the rows (from 0) that need a reader's eye."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """A heading, a paragraph, and what it is about."""

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Page:
    """`good` colours the verdict; `facts` are pairs of name and value at the top."""

    title: str
    verdict: str
    good: bool
    summary: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]


def write(path: Path, page: Page) -> None:
    """Write the page whole; everything but pictures is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    write_bytes(path, environment.get_template("report.html.j2").render(page=page).encode())
