"""fmnist-drift catches what goes wrong with images, stays quiet on fresh ones, and refuses what is no batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.catalog import CLASS_NAMES, TEST
from pipelines import batch, fmnist_drift, two_sample
from pipelines.errors import InputRefused
from pipelines.pfs import Pfs
from tests.conftest import idx, npy
from tests.pipelines.samples import Bytes, generated, published, put_split

Change = Callable[[Bytes], Bytes]


def shifted(down: int, right: int) -> Change:
    """Moved by whole pixels; what enters is background."""

    def change(images: Bytes) -> Bytes:
        padded = np.pad(images, ((0, 0), (3, 3), (3, 3)))
        return padded[:, 3 - down : 31 - down, 3 - right : 31 - right]

    return change


def noisy(sigma: float, background: bool = True) -> Change:
    """Normal noise of that standard deviation in grey values, on every pixel or only where something is drawn."""

    def change(images: Bytes) -> Bytes:
        noise = np.random.default_rng(0).normal(0, sigma, images.shape)
        changed = np.rint(images + noise).clip(0 if background else 1, 255).astype(np.uint8)
        return changed if background else np.where(images == 0, 0, changed).astype(np.uint8)

    return change


def brighter(factor: float) -> Change:
    return lambda images: np.rint(images * factor).clip(0, 255).astype(np.uint8)


def inverted(images: Bytes) -> Bytes:
    return ~images


def blurred(images: Bytes) -> Bytes:
    wide = images.astype(np.uint16)
    return ((wide + np.roll(wide, 1, 1) + np.roll(wide, 1, 2) + np.roll(wide, (1, 1), (1, 2))) // 4).astype(np.uint8)


def drifted(images: Bytes, labels: Bytes | None, reference: Bytes, reference_labels: Bytes) -> list[str]:
    tests = two_sample.compare(images, labels, reference, reference_labels)
    return [test.name for test in tests if test.drifted]


class Sampler:
    """Draws batches out of one split, each with the rest of that split as its reference."""

    def __init__(self, images: Bytes, labels: Bytes) -> None:
        self.images, self.labels = images, labels

    def found(
        self, count: int, seed: int, change: Change = np.copy, odds: dict[int, float] | None = None, told: bool = False
    ) -> list[str]:
        """The tests that say drift; `odds` weighs classes against 1, `told` gives the labels too."""
        weights = np.ones(len(CLASS_NAMES))
        for label, weight in (odds or {}).items():
            weights[label] = weight
        shares = weights[self.labels] / weights[self.labels].sum()
        chosen = np.random.default_rng(seed).choice(len(self.labels), count, replace=False, p=shares)
        rest = np.setdiff1d(np.arange(len(self.labels)), chosen)
        labels = self.labels[chosen] if told else None
        return drifted(change(self.images[chosen]), labels, self.images[rest], self.labels[rest])


@pytest.fixture(scope="module")
def real() -> Sampler:
    return Sampler(*published(TEST))


@pytest.fixture(scope="module")
def made() -> Sampler:
    return Sampler(*generated(3000, seed=0))


@pytest.mark.slow
def test_fresh_images_are_no_drift(made: Sampler) -> None:
    assert [made.found(300, seed, told=True) for seed in range(5)] == [[]] * 5


@pytest.mark.parametrize(
    ("change", "told_by"),
    [(inverted, "background"), (shifted(2, 0), "row"), (shifted(0, -2), "column"), (noisy(5), "background"),
     (brighter(0.7), "mean"), (blurred, "roughness")],
    ids=["inverted", "down", "left", "noise", "darker", "blurred"],
)  # fmt: skip
def test_changed_images_are_drift(made: Sampler, change: Change, told_by: str) -> None:
    assert told_by in made.found(300, 1, change)


def test_images_without_anything_to_tell_them_apart_are_no_drift(made: Sampler) -> None:
    blank = np.zeros((60, 28, 28), np.uint8)
    assert drifted(blank, None, blank, made.labels[:60]) == []
    assert drifted(made.images, made.labels, made.images, made.labels) == []


def test_a_missing_class_is_drift(made: Sampler) -> None:
    assert "class mix" in made.found(300, 1, odds={4: 0}, told=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "seeds"),
    [
        (200, 5),
        (1000, 5),
        *(pytest.param(count, 50, marks=[pytest.mark.long, pytest.mark.timeout(900)]) for count in (200, 500, 1000)),
    ],
)
def test_a_fresh_sample_of_the_published_test_set_is_no_drift(real: Sampler, count: int, seeds: int) -> None:
    assert [real.found(count, seed, told=True) for seed in range(seeds)] == [[]] * seeds


@pytest.mark.slow
def test_images_that_lie_in_the_reference_themselves_are_no_drift(real: Sampler) -> None:
    chosen = np.random.default_rng(0).permutation(len(real.images))[:1000]
    assert drifted(real.images[chosen], real.labels[chosen], real.images, real.labels) == []
    assert drifted(real.images, real.labels, real.images, real.labels) == []


@pytest.mark.slow
@pytest.mark.parametrize("count", [200, 1000])
@pytest.mark.parametrize(
    ("change", "told_by"),
    [
        (inverted, "background"),
        (shifted(1, 0), "row"),
        (shifted(-1, 0), "row"),
        (shifted(0, 1), "column"),
        (shifted(0, -3), "column"),
        (lambda images: images[:, :, ::-1], "column"),
        (noisy(1), "background"),
        (noisy(20), "background"),
        (noisy(20, background=False), "roughness"),
        (brighter(0.9), "std"),
        (brighter(1.2), "std"),
        (blurred, "roughness"),
    ],
    ids=["inverted", "1 down", "1 up", "1 right", "3 left", "mirrored", "noise 1", "noise 20", "noise 20 inside",
         "darker by 10 %", "brighter by 20 %", "blurred"],
)  # fmt: skip
def test_changes_of_published_images_are_drift(real: Sampler, change: Change, told_by: str, count: int) -> None:
    for seed in range(3):
        assert told_by in real.found(count, seed, change)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("odds", "count"), [({0: 0}, 200), ({1: 0}, 200), ({8: 0}, 200), ({3: 3}, 500), ({3: 2}, 1000)],
    ids=["no T-shirt", "no trouser", "no bag", "three times as many dresses", "twice as many dresses"],
)  # fmt: skip
def test_another_class_mix_is_drift(real: Sampler, odds: dict[int, float], count: int) -> None:
    for seed in range(3):
        assert "class mix" in real.found(count, seed, odds=odds, told=True)


@pytest.fixture
def pfs(tmp_path: Path) -> Pfs:
    """A reference, and no batch yet."""
    put_split(tmp_path / "fmnist-test", *generated(600, seed=5))
    (tmp_path / "fmnist-incoming").mkdir()
    return Pfs(tmp_path, {"fmnist-test_COMMIT": "a" * 32, "fmnist-incoming_COMMIT": "b" * 32})


def put_batch(pfs: Pfs, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = pfs.root / "fmnist-incoming" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return pfs.root / "fmnist-incoming" / next(iter(files)).split("/")[0]


@pytest.mark.parametrize("form", ["published", "arrays", "array", "idx"])
def test_a_batch_is_a_folder_or_a_file(pfs: Pfs, form: str) -> None:
    images, labels = generated(5, seed=6)
    files = {
        "published": {"monday/t10k-images-idx3-ubyte.gz": idx(images), "monday/t10k-labels-idx1-ubyte.gz": idx(labels)},
        "arrays": {"monday/images.npy": npy(images), "monday/labels.npy": npy(labels)},
        "array": {"labelled-later.npy": npy(images)},
        "idx": {"monday.gz": idx(images)},
    }[form]
    read = batch.read(put_batch(pfs, files), classes=10)
    assert np.array_equal(read.images, images)
    assert read.name == next(iter(files)).split("/")[0]
    if "monday/" in next(iter(files)):
        assert read.labels is not None
        assert np.array_equal(read.labels, labels)
    else:
        assert read.labels is None


PIXELS, ANSWERS = generated(5, seed=6)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.txt": b"x"}, "a.txt: neither .npy nor .gz"),
        ({"a/images.npy": npy(PIXELS), "a/more.npy": npy(PIXELS)}, "holds images.npy, more.npy; a batch is one file"),
        ({"a/labels.npy": npy(ANSWERS)}, "holds labels.npy; a batch is one file of images"),
        ({"a.npy": npy(ANSWERS)}, "a.npy: 1 dimensions, not 3"),
        ({"a.npy": npy(PIXELS)[:-1]}, "a.npy cannot be read as .npy"),
        ({"a.npy": npy(PIXELS.astype(np.float32))}, "does not hold one uint8 array"),
        ({"a.npy": npy(PIXELS[:, 1:])}, r"the shape \[5, 27, 28\], not \[n, 28, 28\]"),
        ({"a.npy": npy(PIXELS[:0])}, r"the shape \[0, 28, 28\]"),
        ({"a.gz": idx(PIXELS)[:-9]}, "a.gz: not a whole gzip file"),
        ({"a.gz": idx(np.tile(ANSWERS, 9))}, "1 dimensions, not 3"),
        ({"a/i.gz": idx(PIXELS), "a/labels.gz": idx(ANSWERS[1:])}, "labels.gz: 4 labels for 5 images"),
        ({"a/i.gz": idx(PIXELS), "a/labels.gz": idx(np.full_like(ANSWERS, 10))}, "the reference has 0 to 9"),
        ({"a/deeper/images.npy": b""}, "deeper: neither .npy nor .gz"),
    ],
    ids=["text", "two", "labels alone", "labels for images", "cut", "floats", "27 rows", "no image", "cut gzip", "idx1",
         "fewer labels", "no such class", "folder"],
)  # fmt: skip
def test_what_is_no_batch_is_refused_with_the_reason(pfs: Pfs, files: dict[str, bytes], words: str) -> None:
    if "a/deeper/images.npy" in files:
        (pfs.root / "fmnist-incoming" / "a").mkdir()
    with pytest.raises(InputRefused, match=words):
        batch.read(put_batch(pfs, files), classes=10)


@pytest.mark.slow
def test_each_batch_gets_a_report_of_its_own_and_drift_is_no_failure(pfs: Pfs) -> None:
    images, labels = generated(400, seed=7)
    put_batch(pfs, {"fresh/images.npy": npy(images), "fresh/labels.npy": npy(labels)})
    put_batch(pfs, {"inverted.gz": idx(inverted(images))})
    put_batch(pfs, {"one.npy": npy(images[:1])})
    environment = dict(os.environ) | dict(pfs.variables) | {"PFS_DIR": str(pfs.root)}
    command = [sys.executable, "-m", "pipelines.fmnist_drift"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    reports = {path.parent.name: json.loads(path.read_text()) for path in pfs.out.glob("*/report.json")}
    verdicts = {name: report["verdict"] for name, report in reports.items()}
    assert verdicts == {"fresh": "no drift", "inverted.gz": "drift", "one.npy": "undecided"}
    assert reports["fresh"]["reference"] == {"repo": "fmnist-test", "commit": "a" * 32, "images": 600}
    assert reports["fresh"]["source"] == {"repo": "fmnist-incoming", "commit": "b" * 32}
    assert [test["name"] for test in reports["one.npy"]["tests"] if test["name"] in ("class mix", "classifier")] == []
    assert "share in the reference" in (pfs.out / "fresh" / "report.html").read_text()
    assert "share in the reference" not in (pfs.out / "inverted.gz" / "report.html").read_text()
    assert "Batch inverted.gz, 400 images, differs from the reference in mean" in done.stdout


def test_one_unreadable_batch_fails_the_job_and_nothing_is_written(pfs: Pfs) -> None:
    put_batch(pfs, {"good.npy": npy(PIXELS)})
    put_batch(pfs, {"bad.npy": b"x"})
    put_batch(pfs, {"worse.txt": b"x"})
    with pytest.raises(InputRefused, match=r"bad\.npy cannot be read.*; batch worse\.txt: .*neither"):
        fmnist_drift.drift(pfs)
    assert not any(pfs.out.iterdir())


def test_a_batch_name_cannot_break_the_page(pfs: Pfs) -> None:
    put_batch(pfs, {"<script>alert(1)<script>.npy": npy(generated(60, seed=8)[0])})
    fmnist_drift.drift(pfs)
    (page,) = pfs.out.glob("*/report.html")
    assert "<script" not in page.read_text()
