"""The outlier benchmark: its sets are what they are called, and its page is that of its results."""

from __future__ import annotations

import json

import numpy as np

from benchmarks.outliers import report, sets


def test_every_set_has_images_and_is_the_same_every_time() -> None:
    clothes = np.random.default_rng(2).integers(0, 256, (8, 28, 28), dtype=np.uint8)
    clothes[:, ::27, ::27] = 0
    for make in (sets.strange, sets.usual):
        first, second = make(clothes, 8), make(clothes, 8)
        for name, images in first.items():
            assert images.shape[1:] == (28, 28), name
            assert images.dtype == np.uint8, name
            assert 4 <= len(images) <= 8, name
            assert np.array_equal(images, second[name]), name


def test_the_page_in_the_repository_is_that_of_its_results() -> None:
    measured = json.loads((report.HERE / "results.json").read_text())
    assert (report.HERE / "README.md").read_text() == report.page(measured), "run: python -m benchmarks.outliers.report"
