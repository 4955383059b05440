"""Reading a validated split, the validation split, and the training batches."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from dataset import Batches, Examples, join, read_examples, split
from errors import ConfigError, InvalidSplit, TrainingError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import npy
from tests.fmnist.conftest import shapes

IMAGES, LABELS = shapes(200)
IMAGE_FILE, LABEL_FILE = npy(IMAGES), npy(LABELS)
PICKLED = pickle.dumps([1, 2, 3])


def examples(count: int = 200) -> Examples:
    images, labels = shapes(count)
    return Examples(images, labels.astype(np.int64))


def batches(seed: int = 1) -> Batches:
    return Batches(examples(), classes=10, batch_size=32, shift=2, flip=True, erase=6, seed=seed)


def test_reads_what_was_written() -> None:
    read = read_examples(IMAGE_FILE, LABEL_FILE, classes=10)
    assert (read.images == IMAGES).all()
    assert (read.labels == LABELS).all()
    assert read.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (b"plain", LABEL_FILE, "images.npy is not a whole array file"),
        (IMAGE_FILE[:-20], LABEL_FILE, "images.npy is not a whole array file"),
        (IMAGE_FILE + b"x", LABEL_FILE, "exactly one uint8 array"),
        (LABEL_FILE, LABEL_FILE, r"shape \[200\]"),
        (npy(np.zeros((200, 32, 32), np.uint8)), LABEL_FILE, "32, 32"),
        (npy(IMAGES[:199]), LABEL_FILE, r"199 images, but labels.npy has the shape \[200\]"),
        (IMAGE_FILE, npy((LABELS + 1).astype(np.uint8)), "label 10 at position 9"),
        (IMAGE_FILE, npy(LABELS.astype(np.int64)), "int64"),
        (IMAGE_FILE, PICKLED, "labels.npy is not a whole array file"),
    ],
    ids=["plain", "truncated", "longer", "labels", "size", "count", "no class", "dtype", "pickle"],
)
def test_says_what_is_wrong_with_a_file(images: bytes, labels: bytes, message: str) -> None:
    with pytest.raises(InvalidSplit, match=message):
        read_examples(images, labels, classes=10)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_and_nothing_else_is_raised(data: st.DataObject) -> None:
    content = bytearray(npy(IMAGES[:3]))
    kind = data.draw(st.sampled_from(["magic", "truncated", "longer"]))
    if kind == "magic":
        content[data.draw(st.integers(0, 5))] ^= data.draw(st.integers(1, 255))
    elif kind == "truncated":
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content += data.draw(st.binary(min_size=1, max_size=40))
    with pytest.raises(InvalidSplit):
        read_examples(bytes(content), npy(LABELS[:3]), classes=10)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(InvalidSplit):
        read_examples(content, LABEL_FILE, classes=10)


def test_feedback_is_joined_behind_the_split() -> None:
    both = join(examples(30), examples(10))
    assert len(both) == 40
    assert (both.images[30:] == examples(10).images).all()
    assert (both.labels[30:] == examples(10).labels).all()
    assert join(examples(30), None).labels.shape == (30,)


def test_the_split_is_balanced_complete_and_fixed_by_its_seed() -> None:
    training, validation = split(examples(), 50, seed=7, classes=10)
    assert np.bincount(validation.labels).tolist() == [5] * 10
    together = sorted(image.tobytes() for part in (training, validation) for image in part.images)
    assert together == sorted(image.tobytes() for image in IMAGES)
    again = split(examples(), 50, seed=7, classes=10)[1]
    other = split(examples(), 50, seed=8, classes=10)[1]
    assert (again.images == validation.images).all()
    assert (other.images != validation.images).any()


@pytest.mark.parametrize("count", [0, 7, -10, 200, 500])
def test_an_impossible_split_is_refused(count: int) -> None:
    with pytest.raises(ConfigError):
        split(examples(), count, seed=0, classes=10)


def test_an_epoch_visits_every_image_once() -> None:
    source = Batches(examples(192), classes=10, batch_size=32, shift=0, flip=False, erase=0, seed=3)
    seen = [image.tobytes() for step in range(6) for image in source.batch(step)[0]]
    assert sorted(seen) == sorted(image.tobytes() for image in shapes(192)[0])
    assert seen != [image.tobytes() for step in range(6, 12) for image in source.batch(step)[0]]


@given(st.integers(0, 60), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_a_batch_depends_on_seed_and_step_alone(step: int, seed: int) -> None:
    resumed = next(batches(seed).since(step))
    from_the_start = batches(seed)
    for earlier in range(max(0, step - 3), step):
        from_the_start.batch(earlier)
    expected = from_the_start.batch(step)
    assert (resumed[0] == expected[0]).all()
    assert (resumed[1] == expected[1]).all()


def test_augmentation_moves_and_mirrors_within_its_bounds() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[10, 5] = 9
    one = Examples(np.repeat(image[None], 500, axis=0), np.zeros(500, np.int64))
    pictures = Batches(one, classes=2, batch_size=500, shift=2, flip=True, erase=0, seed=1).batch(0)[0]
    rows, columns = np.nonzero(pictures.any(axis=0))
    assert set(rows) == set(range(8, 13))
    assert set(columns) == set(range(3, 8)) | set(range(20, 25))
    assert (np.count_nonzero(pictures, axis=(1, 2)) == 1).all()


def test_mirror_images_come_in_turns() -> None:
    source = Batches(examples(192), classes=10, batch_size=32, shift=0, flip=True, erase=0, seed=3)
    originals = {image.tobytes() for image in examples(192).images}
    epochs = [np.concatenate([source.batch(step)[0] for step in range(6 * n, 6 * n + 6)]) for n in (0, 1)]
    plain = [{image.tobytes() for image in images} & originals for images in epochs]
    assert plain[0] | plain[1] == originals
    assert not plain[0] & plain[1]
    assert 60 < len(plain[0]) < 132


def test_feedback_that_is_validated_on_is_left_out() -> None:
    validation = examples(12)
    kept = examples(20).without(validation)
    assert [image.tobytes() for image in kept.images] == [image.tobytes() for image in examples(20).images[12:]]
    assert kept.labels.tolist() == examples(20).labels[12:].tolist()


def test_erasing_blanks_a_square_centred_anywhere() -> None:
    white = Examples(np.full((500, 28, 28), 255, np.uint8), np.zeros(500, np.int64))
    pictures = Batches(white, classes=2, batch_size=500, shift=0, flip=False, erase=6, seed=1).batch(0)[0]
    blank = pictures == 0
    assert blank.any(axis=0).all()
    for rows, columns in zip(blank.any(axis=2), blank.any(axis=1), strict=True):
        # Three pixels, half of it, where the centre is at the border.
        assert 3 <= rows.sum() <= 6
        assert 3 <= columns.sum() <= 6
        assert np.ptp(np.flatnonzero(rows)) == rows.sum() - 1
    assert (blank.sum(axis=(1, 2)) == blank.any(axis=2).sum(axis=1) * blank.any(axis=1).sum(axis=1)).all()


def test_all_errors_are_the_trainings_own() -> None:
    with pytest.raises(TrainingError):
        Batches(examples(10), classes=10, batch_size=32, shift=0, flip=False, erase=0, seed=0)
