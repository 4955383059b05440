"""The measures of a split against their definitions, computed the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import measures
from tests.pipelines.samples import Bytes, generated


def agrees(images: Bytes, labels: Bytes, position: int, classes: int) -> bool:
    """Whether the image's own class has the nearest mean, the image itself left out."""
    others = np.delete(np.arange(len(labels)), position)
    distances = {
        label: ((images[members].mean(axis=0) - images[position]) ** 2).sum()
        for label in range(classes)
        if len(members := others[labels[others] == label])
    }
    return bool(distances) and min(distances, key=lambda label: distances[label]) == labels[position]


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 40), st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_agreement_leaves_each_image_out_of_its_own_mean(count: int, classes: int, seed: int) -> None:
    images = generated(count, seed)[0]
    labels = np.random.default_rng(seed).integers(0, classes, count).astype(np.uint8)
    expected = [agrees(images, labels, position, classes) for position in range(count)]
    if len(set(labels.tolist())) > 1:
        assert measures.agreement(images, labels, classes).tolist() == expected


def test_agreement_is_the_same_in_pieces() -> None:
    images, labels = generated(5000, seed=1)
    found = measures.agreement(images, labels, 10)
    assert found.shape == (5000,)
    for position in (0, 2047, 2048, 2500, 4999):
        assert found[position] == agrees(images, labels, position, 10)


def test_pixel_statistics_are_those_of_all_pixels() -> None:
    images = generated(3000, seed=2)[0]
    found = measures.pixel_statistics(images)
    assert found.mean == pytest.approx(images.mean())
    assert found.std == pytest.approx(images.std())
    assert found.background == pytest.approx((images == 0).mean())


def test_class_means_are_those_of_cells_and_missing_where_nothing_is() -> None:
    images, labels = generated(50, seed=3)
    labels = np.where(labels == 4, 5, labels).astype(np.uint8)
    found = measures.class_means(images, labels, 10)
    assert found.shape == (10, 49)
    assert found[5, 8] == pytest.approx(images[labels == 5, 4:8, 4:8].mean())
    assert np.isnan(found[4]).all()
