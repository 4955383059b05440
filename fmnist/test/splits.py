"""What the validation said of the data that a model was trained and tested on, for its card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pachyderm_sdk import Client

from data import catalog, validated
from data.errors import SplitRefused


@dataclass(frozen=True)
class SplitFacts:
    """One split; None for what its validation did not record.

    `raw` is the commit that it was made from; `published`: its files are those of Fashion-MNIST, to the byte.
    """

    reference: str
    images: int | None = None
    class_counts: tuple[int, ...] | None = None
    duplicates: int | None = None
    raw: str | None = None
    published: bool = False
    reason: str = ""


def facts(client: Client, repo: str | None, commit: str | None) -> SplitFacts:
    """What the report of `repo@commit` says; where it cannot be read, the reason."""
    if not repo or not commit:
        return SplitFacts("a folder, not a commit", reason="nothing was recorded of it")
    reference = f"{repo}@{commit}"
    try:
        report = validated.report(client, reference)
    except SplitRefused as error:
        return SplitFacts(reference, reason=" ".join(str(error).split()))
    source: dict[str, Any] = report.get("source") or {}
    counts = report.get("class_counts")
    sums = {entry["sha256"] for entry in report.get("inputs", {}).values()}
    return SplitFacts(
        reference,
        images=report.get("images"),
        class_counts=tuple(counts) if counts else None,
        duplicates=(report.get("duplicates") or {}).get("images"),
        raw=f"{source['repo']}@{source['commit']}" if source else None,
        published=bool(sums) and sums <= {file.sha256 for file in catalog.FILES},
    )
