"""The format of `fmnist-feedback`, and what counts of it.

Every file in the repo, at any depth, is UTF-8 text with one JSON object a line (JSON Lines); empty lines do not count:

    {"image": "AAAA…", "answer": 6, "truth": 0, "model_version": "3",
     "puid": "91037d5aca774b5e869eace6dce3185b", "time": "2026-11-21T11:17:14+00:00"}

| key | type | meaning |
|---|---|---|
| image | string | base64 (RFC 4648, with padding) of 784 bytes: 28 x 28 grey values in row order, 0 is background |
| answer | integer | index of the class that the model gave |
| truth | integer | index of the class that the image shows |
| model_version | string | the registered version that answered (`meta.tags.model_version`) |
| puid | string | the prediction's id (`meta.puid`), of several images with /0, /1, … behind; the same if sent twice |
| time | string | when the truth was given: ISO 8601 with an offset or Z |

Other keys are ignored.  A line that breaks one of these rules is left out and named in the report; the others count.
Senders add a new file a batch, or append whole lines.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.files import Labels, Pixels
from pipelines.split import SIDE

PIXELS = SIDE * SIDE


class Malformed(Exception):
    """A line is not a feedback; the text says why."""


@dataclass(frozen=True)
class Feedback:
    """One line, read; `image` holds 784 grey values."""

    image: bytes
    answer: int
    truth: int
    model_version: str
    puid: str
    time: datetime


@dataclass(frozen=True)
class Rejected:
    """A line that was left out; `line` counts from 1."""

    file: str
    line: int
    reason: str


@dataclass
class Collected:
    """Everything that a repo holds: valid lines in the order of files and lines, rejected lines, lines a file."""

    valid: list[Feedback] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    accepted_lines: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Examples:
    """Images uint8 [n, 28, 28] and labels uint8 [n], each image once; what was left out, counted.

    `repeated` counts lines that tell what an earlier line told, `contradicted` the images whose lines disagree.
    """

    images: Pixels
    labels: Labels
    repeated: int
    contradicted: int


def collect(folder: Path, classes: int) -> Collected:
    """Read every file below `folder`, in the order of their paths."""
    collected = Collected()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        collected.accepted_lines[name] = 0
        for number, line in _lines(path):
            try:
                collected.valid.append(parse(line, classes))
                collected.accepted_lines[name] += 1
            except Malformed as error:
                collected.rejected.append(Rejected(name, number, str(error)))
    return collected


def parse(line: bytes, classes: int) -> Feedback:
    """One line.  Raises Malformed."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON in UTF-8 ({type(error).__name__})") from error
    if not isinstance(record, dict):
        raise Malformed("not a JSON object")
    return Feedback(
        _image(_text(record, "image")),
        _index(record, "answer", classes),
        _index(record, "truth", classes),
        _text(record, "model_version"),
        _text(record, "puid"),
        _moment(_text(record, "time")),
    )


def examples(feedback: list[Feedback]) -> Examples:
    """Each image once with its truth, in the order of first appearance; images with several truths are left out."""
    truths: dict[bytes, set[int]] = {}
    for each in feedback:
        truths.setdefault(each.image, set()).add(each.truth)
    agreed = {image: found for image, found in truths.items() if len(found) == 1}
    images = np.frombuffer(b"".join(agreed), np.uint8).reshape(-1, SIDE, SIDE)
    labels = np.array([truth for found in agreed.values() for truth in found], np.uint8)
    repeated = len(feedback) - sum(map(len, truths.values()))
    return Examples(images, labels, repeated, len(truths) - len(agreed))


def predictions(feedback: list[Feedback]) -> list[Feedback]:
    """One feedback a prediction: of several with the same puid the one given last."""
    last: dict[str, Feedback] = {}
    for each in feedback:
        if each.puid not in last or each.time >= last[each.puid].time:
            last[each.puid] = each
    return list(last.values())


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield number, line


def _value(record: dict[str, Any], key: str) -> Any:
    if key not in record:
        raise Malformed(f"no {key}")
    return record[key]


def _text(record: dict[str, Any], key: str) -> str:
    value = _value(record, key)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Malformed(f"{key} is not a string of printable characters")
    return value


def _index(record: dict[str, Any], key: str, classes: int) -> int:
    value = _value(record, key)
    if type(value) is not int or not 0 <= value < classes:
        raise Malformed(f"{key} is not an integer from 0 to {classes - 1}")
    return value


def _image(text: str) -> bytes:
    try:
        image = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("image is not base64") from error
    if len(image) != PIXELS:
        raise Malformed(f"image has {len(image)} bytes, not {PIXELS}")
    if len(set(image)) == 1:
        raise Malformed("image has one grey value everywhere")
    return image


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed("time is not ISO 8601") from error
    if moment.tzinfo is None:
        raise Malformed("time has no offset from UTC")
    return moment
