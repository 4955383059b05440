"""Disturbed images: deterministic, of the same kind as the originals, and really disturbed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from fmnist.test import robustness
from fmnist.test.robustness import KINDS, Images, Kind, disturbed, stratified
from tests.fmnist.conftest import shapes
from tests.fmnist.samples import answering

IMAGES, LABELS = shapes(60)
DOT = np.zeros((40, 28, 28), np.uint8)
DOT[:, 10, 12] = 200


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_same_disturbance_is_the_same_and_changes_the_images(kind: Kind) -> None:
    for strength in kind.strengths:
        once, again = disturbed(kind, strength, IMAGES), disturbed(kind, strength, IMAGES)
        assert once.dtype == np.uint8
        assert once.shape == IMAGES.shape
        assert (once == again).all()
        assert (once != IMAGES).any()
    assert (disturbed(kind, kind.clean, IMAGES) == IMAGES).all()


@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_a_shift_moves_by_so_many_pixels_into_all_directions(pixels: int) -> None:
    moved = disturbed(KINDS[0], pixels, DOT)
    places = {tuple(place[1:] - (10, 12)) for place in np.argwhere(moved == 200)}
    assert places == {(pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels)}
    assert moved.sum() == DOT.sum()


def test_a_rotation_turns_to_both_sides_by_the_angle() -> None:
    turned = disturbed(KINDS[1], 15, np.repeat(DOT, 5, axis=0)).astype(float)
    rows, columns = np.mgrid[:28, :28] - 13.5
    mass = turned.sum(axis=(1, 2))
    angles = np.arctan2((turned * rows).sum(axis=(1, 2)) / mass, (turned * columns).sum(axis=(1, 2)) / mass)
    off = np.degrees(angles - np.arctan2(10 - 13.5, 12 - 13.5))
    assert set(np.round(off / 15)) == {-1, 1}
    assert np.abs(np.abs(off) - 15).max() < 4


def test_brightness_and_contrast_are_pillows() -> None:
    for kind, enhance in zip(KINDS[3:], (ImageEnhance.Brightness, ImageEnhance.Contrast), strict=True):
        for strength in kind.strengths:
            expected = [np.asarray(enhance(Image.fromarray(image)).enhance(strength)) for image in IMAGES[:10]]
            found = disturbed(kind, strength, IMAGES[:10]).astype(int)
            # Pillow cuts fractions off, and rounds the mean.
            assert np.abs(found - np.array(expected)).max() <= 2


def test_noise_has_the_standard_deviation() -> None:
    grey = np.full((50, 28, 28), 128, np.uint8)
    assert (disturbed(KINDS[2], 16, grey) - 128.0).std() == pytest.approx(16, rel=0.02)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.integers(4, 40))
def test_the_part_is_stratified_and_always_the_same(labels: list[int], count: int) -> None:
    values = np.array(labels)
    positions = stratified(values, count, 4)
    assert (positions == stratified(values, count, 4)).all()
    assert len(set(positions)) == len(positions)
    drawn, present = np.bincount(values[positions], minlength=4), np.bincount(values, minlength=4)
    assert (drawn == np.minimum(present, count // 4)).all()


def test_a_model_that_looks_at_one_pixel_loses_by_a_shift_and_not_by_a_little_noise() -> None:
    images = np.zeros((200, 28, 28), np.uint8)
    labels = (np.arange(200) % 2).astype(np.uint8)
    images[labels == 1, 14, 14] = 200

    def predict(part: Images) -> npt.NDArray[np.float32]:
        answers: npt.NDArray[np.float32] = np.eye(2, dtype=np.float32)[(part[:, 14, 14] > 90).astype(int)]
        return answers

    done: list[int] = []
    evaluation = answering(labels, [], ("dark", "bright"), confidence=1.0)
    found = robustness.measure(predict, images, evaluation, done.append)
    results = {(result.kind, result.strength): result for result in found.results}
    assert found.accuracy == 1
    assert results["shift", 1].accuracy == 0.5
    assert (results["shift", 1].paired.lost, results["shift", 1].paired.gained) == (100, 0)
    assert results["noise", 8].accuracy == 1
    assert sum(done) == robustness.total(evaluation) == 200 * len(found.results)
    assert found.undisturbed(KINDS[0]).paired.difference == 0
