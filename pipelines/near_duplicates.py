"""The index of near-duplicates: which test images have nearly the same image in the training split.

`near_duplicates.json`, written by fmnist-leakage: the pairs within the threshold, and for every test image its nearest
training image, so that a reader may draw the line elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.errors import InputRefused

NAME = "near_duplicates.json"
FORMAT_VERSION = 1
METRIC = "RMS difference of the pixels after each image is brought to mean 0 and standard deviation 1: sqrt(2 - 2 r)"


@dataclass(frozen=True)
class NearDuplicates:
    """`commits` by input name; `positions` of test images, ascending; `distances` to the nearest by test position."""

    commits: Mapping[str, str | None]
    threshold: float
    positions: tuple[int, ...]
    distances: tuple[float, ...]

    def within(self, distance: float) -> tuple[int, ...]:
        """Positions of the test images that have a training image at most so far away."""
        return tuple(position for position, nearest in enumerate(self.distances) if nearest <= distance)


def read(content: bytes) -> NearDuplicates:
    """The index in a file's content.  Raises InputRefused where it is none of this format."""
    try:
        document = json.loads(content)
        if document["format_version"] != FORMAT_VERSION:
            raise InputRefused(f"{NAME} has format {document['format_version']!r}; this reads {FORMAT_VERSION}")
        return NearDuplicates(
            commits={name: source["commit"] for name, source in document["sources"].items()},
            threshold=float(document["threshold"]),
            positions=tuple(sorted({int(pair["test"]) for pair in document["near_duplicates"]})),
            distances=tuple(float(value) for value in document["nearest"]["distance"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputRefused(f"{NAME} is not an index of near-duplicates: {type(error).__name__} {error}") from error


def document(
    sources: Mapping[str, Any], threshold: float, pairs: list[dict[str, Any]], nearest: Mapping[str, Any]
) -> dict[str, Any]:
    """The file's content; `pairs` {test, train, distance, same_label}, `nearest` {train, distance} by test position."""
    return {
        "format_version": FORMAT_VERSION,
        "metric": METRIC,
        "threshold": threshold,
        "sources": dict(sources),
        "near_duplicates": pairs,
        "nearest": dict(nearest),
    }
