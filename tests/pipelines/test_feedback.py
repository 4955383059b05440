"""fmnist-feedback-train: what counts of people's feedback, what does not, and what readers get of it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalog import CLASS_NAMES
from pipelines import feedback, split
from pipelines.errors import InputRefused
from pipelines.feedback import Malformed
from tests.pipelines.samples import Bytes, generated

CLASSES = len(CLASS_NAMES)


def record(image: Bytes, truth: int, number: int = 0, /, **changes: Any) -> dict[str, Any]:
    whole = {
        "image": base64.b64encode(image.tobytes()).decode(),
        "answer": truth,
        "truth": truth,
        "model_version": "3",
        "puid": f"{number:032x}",
        "time": f"2026-11-21T11:{number // 60:02}:{number % 60:02}+00:00",
    }
    return {key: value for key, value in (whole | changes).items() if value is not None}


def line(image: Bytes, truth: int, number: int = 0, /, **changes: Any) -> bytes:
    return json.dumps(record(image, truth, number, **changes)).encode() + b"\n"


def start(root: Path, files: dict[str, bytes]) -> dict[str, Any]:
    """The report of the pipeline, run as a process of its own with these files as its input."""
    folder = root / "fmnist-feedback"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    environment = {**os.environ, "CLASS_NAMES": ",".join(CLASS_NAMES), "PFS_DIR": str(root)}
    command = [sys.executable, "-m", "pipelines.fmnist_feedback_train"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads((root / "out" / "report.json").read_bytes())
    assert report["summary"] in done.stdout
    return report


def test_feedback_becomes_a_split_with_what_was_left_out(tmp_path: Path) -> None:
    images, labels = generated(30, seed=1)
    lines = [line(images[n], int(labels[n]), n, model_version=str(2 + n % 2)) for n in range(30)]
    wrong = int(labels[4] + 1) % CLASSES
    again = line(images[4], wrong, 30, answer=int(labels[4]), model_version="3")
    broken = b'<script>alert("x")</script>\n'
    report = start(
        tmp_path,
        {
            "2026/a.jsonl": b"".join(lines[:20]) + b"\n" + lines[0] + broken,
            "2026/b.jsonl": b"".join(lines[20:]) + again,
            "nothing.txt": b"\xff\xfe\n",
            "empty.jsonl": b"",
        },
    )
    kept = np.delete(np.arange(30), 4)
    written = split.read(tmp_path / "out")
    np.testing.assert_array_equal(written.images, images[kept])
    np.testing.assert_array_equal(written.labels, labels[kept])
    assert (report["images"], report["feedbacks"], report["repeated"], report["contradicted"]) == (29, 32, 1, 1)
    assert report["rejected"]["lines"] == 2
    assert [(each["file"], each["line"]) for each in report["rejected"]["first"]] == [
        ("2026/a.jsonl", 23),
        ("nothing.txt", 1),
    ]
    assert report["files_with_nothing_valid"] == ["empty.jsonl", "nothing.txt"]
    assert report["model_versions"] == [
        {"model_version": "2", "predictions": 15, "right": 15, "accuracy": 1.0},
        {"model_version": "3", "predictions": 16, "right": 15, "accuracy": 15 / 16},
    ]
    assert np.trace(report["confusion"]) == 30
    assert report["confusion"][wrong][int(labels[4])] == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "nothing.txt" in page
    assert "<script" not in page


def test_without_a_valid_line_the_report_says_empty_and_readers_refuse(tmp_path: Path) -> None:
    report = start(tmp_path, {"a.jsonl": b"[]\n"})
    assert report["verdict"] == "empty"
    assert report["rejected"]["first"] == [{"file": "a.jsonl", "line": 1, "reason": "not a JSON object"}]
    assert np.load(tmp_path / "out" / "images.npy").shape == (0, 28, 28)
    with pytest.raises(InputRefused, match="'empty', not 'passed'"):
        split.read(tmp_path / "out")


IMAGE = np.arange(784, dtype=np.uint8).reshape(28, 28)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image": None}, "no image"),
        ({"image": "AA=A"}, "image is not base64"),
        ({"image": "Ä"}, "image is not base64"),
        ({"image": "AAAA"}, "image has 3 bytes, not 784"),
        ({"image": base64.b64encode(bytes(784)).decode()}, "one grey value"),
        ({"answer": 10}, "answer is not an integer from 0 to 9"),
        ({"answer": "1"}, "answer is not an integer"),
        ({"truth": True}, "truth is not an integer"),
        ({"truth": 1.0}, "truth is not an integer"),
        ({"truth": -1}, "truth is not an integer"),
        ({"model_version": 3}, "model_version is not a string"),
        ({"puid": ""}, "puid is not a string"),
        ({"puid": "\ud800"}, "puid is not a string of printable characters"),
        ({"time": "yesterday"}, "time is not ISO 8601"),
        ({"time": "2026-11-21T11:00:00"}, "time has no offset"),
    ],
)
def test_a_line_that_breaks_a_rule_is_named_by_it(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        feedback.parse(line(IMAGE, 1, **changes), CLASSES)


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b"nan", b'{"image": ' + b"9" * 5000 + b"}", b"\xff"])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        feedback.parse(text, CLASSES)


def test_keys_of_tomorrow_are_ignored_and_the_last_word_of_a_puid_counts() -> None:
    first = feedback.parse(line(IMAGE, 1, 1, answer=2, comment="?"), CLASSES)
    later = feedback.parse(line(IMAGE, 2, 1, answer=2, time="2026-11-21T12:30:00+01:00"), CLASSES)
    assert feedback.predictions([first, later]) == [later]
    assert feedback.predictions([later, first]) == [later]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=30))
def test_every_image_counts_once_or_is_left_out(told: list[tuple[int, int]]) -> None:
    pictures = generated(4, seed=2)[0]
    lines = [feedback.parse(line(pictures[which], truth, n), CLASSES) for n, (which, truth) in enumerate(told)]
    taken = feedback.examples(lines)
    truths = {which: {truth for other, truth in told if other == which} for which, _ in told}
    agreed = [(which, *found) for which, found in truths.items() if len(found) == 1]
    assert [(image.tobytes(), int(label)) for image, label in zip(taken.images, taken.labels, strict=True)] == [
        (pictures[which].tobytes(), truth) for which, truth in agreed
    ]
    assert taken.contradicted == len(truths) - len(agreed)
    assert taken.repeated == len(told) - len(set(told))
