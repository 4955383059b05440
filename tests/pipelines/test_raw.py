"""fmnist-train and fmnist-test: good splits become arrays and reports, bad ones are refused by their reason."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from sklearn.datasets import load_digits

from data.catalog import CLASS_NAMES, TEST, TRAIN, Split
from pipelines import idx as idx_reader
from pipelines import split
from pipelines.errors import Misconfigured
from pipelines.pfs import Pfs
from pipelines.settings import Settings
from pipelines.validation import Findings, validate
from tests.conftest import idx
from tests.pipelines.samples import Bytes, generated, published

GENERAL = {"CLASS_NAMES": ",".join(CLASS_NAMES)}
FASHION = {**GENERAL, "PROFILE": "fashion-mnist", "BALANCE_TOLERANCE": "0.05"}
COMMIT = "0" * 12 + "4" + "0" * 19


def files_of(images: Bytes, labels: Bytes, of: Split = TRAIN) -> dict[str, bytes]:
    return {of.images.name: idx(images), of.labels.name: idx(labels)}


@functools.cache
def published_test() -> tuple[Bytes, Bytes]:
    return published(TEST)


def beginning(count: int) -> tuple[Bytes, Bytes]:
    """The first images of the published test split, and their labels."""
    images, labels = published_test()
    return images[:count], labels[:count]


def judged(images: Bytes, labels: Bytes, variables: dict[str, str] = GENERAL) -> Findings:
    return validate(files_of(images, labels), TRAIN, Settings.from_variables(variables))


def failed(found: Findings) -> list[str]:
    return [check.name for check in found.failed]


def start(root: Path, module: str, of: Split, contents: dict[str, bytes]) -> subprocess.CompletedProcess[str]:
    """The pipeline as a process of its own, away from the checkout, with these files as its input."""
    folder = root / of.repo
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    environment = {**os.environ, **GENERAL, "PFS_DIR": str(root), f"{of.repo}_COMMIT": COMMIT}
    command = [sys.executable, "-m", f"pipelines.{module}"]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("module", "of"), [("fmnist_train", TRAIN), ("fmnist_test", TEST)])
def test_a_good_split_becomes_arrays_and_reports(module: str, of: Split, tmp_path: Path) -> None:
    images, labels = generated(600, seed=1)
    contents = files_of(images, labels, of)
    done = start(tmp_path, module, of, contents)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["images.npy", "labels.npy", "report.html", "report.json"]
    written = split.read(out)
    np.testing.assert_array_equal(written.images, images)
    np.testing.assert_array_equal(written.labels, labels)
    assert written.class_names == CLASS_NAMES
    report = json.loads((out / "report.json").read_bytes())
    assert report["verdict"] == "passed"
    assert report["source"] == {"repo": of.repo, "commit": COMMIT}
    assert report["images"] == 600
    assert report["class_counts"] == np.bincount(labels).tolist()
    assert all(check["passed"] for check in report["checks"])
    for described, folder in ((report["inputs"], tmp_path / of.repo), (report["outputs"], out)):
        for name, file in described.items():
            content = (folder / name).read_bytes()
            assert file == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    page = (out / "report.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page) == []
    assert all(name in page for name in CLASS_NAMES)


@pytest.mark.slow
def test_another_spec_gives_another_repo_and_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPS_PIPELINE_NAME", "mnist-train")
    other = replace(TRAIN, repo="mnist-train-raw")
    images, labels = generated(300, seed=7)
    assert start(tmp_path, "fmnist_train", other, files_of(images, labels)).returncode == 0
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert (report["pipeline"], report["source"]) == ("mnist-train", {"repo": "mnist-train-raw", "commit": COMMIT})
    refused = start(tmp_path, "fmnist_train", other, files_of(images, labels[:-1]))
    assert refused.stderr.splitlines()[-1].startswith("mnist-train: mnist-train-raw refused")


def test_exactly_one_repo_is_read(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="nowhere has none: name one repo"):
        Pfs(tmp_path / "nowhere", {}).only_input()
    for name in ("out", "first", "second"):
        (tmp_path / name).mkdir()
    with pytest.raises(Misconfigured, match="has first, second"):
        Pfs(tmp_path, {}).only_input()


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    outputs = []
    for _ in range(2):
        assert start(tmp_path, "fmnist_train", TRAIN, files_of(*generated(300, seed=2))).returncode == 0
        outputs.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert outputs[0] == outputs[1]


def test_a_refusal_writes_nothing_and_ends_with_its_reason(tmp_path: Path) -> None:
    images, labels = generated(300, seed=3)
    done = start(tmp_path, "fmnist_train", TRAIN, files_of(images, labels[:-1]))
    assert done.returncode == 1
    assert not (tmp_path / "out").exists()
    last = done.stderr.splitlines()[-1]
    assert last.startswith("fmnist-train: fmnist-train-raw refused, 1 of ")
    assert "300 images but 299 labels" in last
    assert "FAILED  counts" in done.stderr


def rewritten(name: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], None]:
    """Changes the content of one file after inflating it."""

    def apply(contents: dict[str, bytes]) -> None:
        contents[name] = gzip.compress(change(gzip.decompress(contents[name])))

    return apply


def flipped(contents: dict[str, bytes]) -> None:
    content = bytearray(contents[TRAIN.images.name])
    content[len(content) // 2] ^= 0xFF
    contents[TRAIN.images.name] = bytes(content)


def swapped(contents: dict[str, bytes]) -> None:
    images, labels = TRAIN.images.name, TRAIN.labels.name
    contents[images], contents[labels] = contents[labels], contents[images]


IMAGES, LABELS = TRAIN.images.name, TRAIN.labels.name
DAMAGES: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "no images": (lambda c: c.pop(IMAGES), f"{IMAGES} missing; the input holds {LABELS}"),
    "nothing": (lambda c: c.clear(), f"{IMAGES} and {LABELS} missing; the input holds nothing"),
    "renamed": (lambda c: c.update({"t10k": c.pop(LABELS)}), f"{LABELS} missing; the input holds t10k, {IMAGES}"),
    "not gzip": (lambda c: c.update({IMAGES: b"<html>404"}), f"{IMAGES}: not a whole gzip file"),
    "truncated": (lambda c: c.update({IMAGES: c[IMAGES][:-100]}), f"{IMAGES}: not a whole gzip file"),
    "corrupt": (flipped, f"{IMAGES}: not a whole gzip file"),
    "empty file": (lambda c: c.update({LABELS: b""}), f"{LABELS}: 0 bytes are no IDX header"),
    "short": (rewritten(LABELS, lambda p: p[:5]), f"{LABELS}: 5 bytes are no IDX header"),
    "magic": (rewritten(IMAGES, lambda p: b"\x93NUM" + p[4:]), f"{IMAGES}: begins with 0x934e554d, not IDX"),
    "type": (rewritten(IMAGES, lambda p: b"\0\0\x0d\x03" + p[4:]), f"{IMAGES}: type 0x0d (float32), not uint8"),
    "swapped": (swapped, f"{IMAGES}: 1 dimensions, not 3; {LABELS}: 3 dimensions, not 1"),
    "header says more": (rewritten(LABELS, lambda p: p[:-1]), f"{LABELS}: header says 300 values, 299 follow"),
    "header says less": (rewritten(LABELS, lambda p: p + b"\0"), f"{LABELS}: header says 300 values, 301 follow"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_refused_by_their_reason(damage: str) -> None:
    contents = files_of(*generated(300, seed=4))
    damaging, reason = DAMAGES[damage]
    damaging(contents)
    found = validate(contents, TRAIN, Settings.from_variables(GENERAL))
    assert reason in "; ".join(check.reason for check in found.failed)


@pytest.mark.slow
def test_wrong_numbers_are_refused_by_their_reason() -> None:
    images, labels = generated(1000, seed=5)
    assert failed(judged(images, labels)) == []
    assert failed(judged(images[:, :-1], labels)) == ["image size"]
    assert failed(judged(images[:0], labels[:0])) == ["counts"]
    assert failed(judged(images, np.where(labels == 9, 10, labels).astype(np.uint8))) == ["label range"]
    kept = np.flatnonzero((labels != 3) | (np.arange(1000) % 8 == 0))
    assert failed(judged(images[kept], labels[kept])) == ["class balance"]
    assert "blank images" in failed(
        judged(np.where(np.arange(1000)[:, None, None] == 7, 5, images).astype(np.uint8), labels)
    )
    twice = np.concatenate([np.arange(1000), np.arange(11)])
    found = judged(images[twice], labels[twice])
    assert failed(found) == ["duplicates"]
    assert found.duplicates == [[position, position + 1000] for position in range(11)]
    assert failed(judged(images[twice[:1005]], labels[twice[:1005]])) == []


@pytest.mark.parametrize("first", [100, 250, 1000, pytest.param(3000, marks=pytest.mark.slow)])
def test_the_published_splits_and_their_beginnings_pass(first: int) -> None:
    found = judged(*beginning(first), FASHION)
    assert failed(found) == []


@pytest.mark.slow
@pytest.mark.parametrize("of", [TRAIN, TEST], ids=["train", "test"])
def test_the_published_splits_pass_whole_with_room(of: Split) -> None:
    found = judged(*published(of), FASHION)
    assert failed(found) == []
    assert "not judged" not in " ".join(check.value for check in found.checks)


@pytest.mark.parametrize("first", [100, 250, 1000, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("by", [1, -1])
def test_labels_shifted_against_the_images_are_caught(by: int, first: int) -> None:
    images, labels = beginning(first)
    found = judged(images, np.roll(labels, by), GENERAL)
    assert failed(found) == ["labels belong to images"]


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, 1250, 2750])
def test_labels_that_shift_on_the_way_are_caught_where_it_begins(start: int) -> None:
    images, labels = beginning(3000)
    shifted = np.concatenate([labels[:start], np.roll(labels[start:], 1)])
    found = judged(images, shifted, GENERAL)
    assert failed(found) == ["labels belong to images"]
    assert f"from position {start} on" in found.failed[0].reason


@pytest.mark.slow
@pytest.mark.parametrize("order", [[*range(1, 10), 0], [6, *range(1, 6), 0, 7, 8, 9], [0, 1, 4, 3, 2, *range(5, 10)]])
def test_renamed_and_swapped_classes_are_caught_by_the_profile(order: list[int]) -> None:
    images, labels = beginning(3000)
    renamed: Bytes = np.array(order, np.uint8)[labels]
    assert failed(judged(images, renamed, FASHION)) == ["label order"]
    assert failed(judged(images, renamed, GENERAL)) == []


@pytest.mark.slow
def test_another_data_set_with_its_own_label_list_passes_and_its_shift_is_caught() -> None:
    digits = load_digits()
    side = split.SIDE
    pictures = [Image.fromarray((15 * each).astype(np.uint8)).resize((side, side)) for each in digits.images]
    images: Bytes = np.stack([np.asarray(picture) for picture in pictures])
    labels = digits.target.astype(np.uint8)
    variables = {"CLASS_NAMES": "0,1,2,3,4,5,6,7,8,9"}
    assert failed(judged(images, labels, variables)) == []
    assert failed(judged(images, np.roll(labels, 1), variables)) == ["labels belong to images"]
    assert failed(judged(images, labels, FASHION)) == ["pixels: background", "label order"]


@pytest.mark.slow
def test_inverted_scaled_and_noisy_pixels_are_caught_by_the_profile() -> None:
    images, labels = beginning(1000)
    noise = np.random.default_rng(6).integers(0, 40, images.shape)
    for wrong in (~images, (images * 0.5).astype(np.uint8), (images + noise).clip(0, 255).astype(np.uint8)):
        assert any(name.startswith("pixels: ") for name in failed(judged(wrong, labels, FASHION)))


@settings(deadline=None)
@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=1, max_dims=3, max_side=5)), st.binary(max_size=3))
def test_what_was_written_as_idx_is_read_and_nothing_longer(values: Bytes, rest: bytes) -> None:
    checks, read = idx_reader.read("f", idx(values), values.ndim)
    assert read is not None
    np.testing.assert_array_equal(read, values)
    longer = gzip.compress(gzip.decompress(idx(values)) + rest)
    assert (idx_reader.read("f", longer, values.ndim)[1] is not None) == (not rest)
    assert all(check.passed for check in checks)


@given(
    st.binary(max_size=40)
    | st.builds(lambda shape: struct.pack(">4I", 0x803, *shape), st.tuples(*[st.integers(0, 2**32 - 1)] * 3))
)
@example(struct.pack(">4I", 0x803, 0, 2**32 - 1, 2**32 - 1))
def test_any_bytes_are_an_array_or_a_reason(content: bytes) -> None:
    for candidate in (content, gzip.compress(content)):
        checks, read = idx_reader.read("f", candidate, 3)
        assert (read is None) == any(check.reason for check in checks)


def test_a_small_file_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((10, 28, 28), np.uint8)
    monkeypatch.setattr(idx_reader, "LIMIT", 16 + values.size)
    assert idx_reader.read("f", idx(values), 3)[1] is not None
    monkeypatch.setattr(idx_reader, "LIMIT", 16 + values.size - 1)
    checks, read = idx_reader.read("f", idx(values), 3)
    assert read is None
    assert checks[-1].reason == f"f: unpacks to more than {16 + values.size - 1} bytes"
