"""fmnist-leakage misses no near-duplicate, says where they are, and refuses splits that did not pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from data.catalog import TEST, TRAIN
from pipelines import correlation, fmnist_leakage, near_duplicates
from pipelines.errors import InputRefused
from pipelines.pfs import Pfs
from tests.pipelines.samples import Bytes, generated, published, put_split


def normal(images: Bytes) -> npt.NDArray[np.float64]:
    """Pixels float64 [n, pixels] at mean 0 and standard deviation 1; zero where there is one grey value."""
    pixels: npt.NDArray[np.float64] = images.reshape(len(images), -1).astype(float)
    pixels -= pixels.mean(axis=1, keepdims=True)
    spread = pixels.std(axis=1, keepdims=True)
    pixels /= np.where(spread == 0, np.inf, spread)
    return pixels


def all_distances(queries: Bytes, references: Bytes) -> npt.NDArray[np.float64]:
    """Every pair's distance by its definition."""
    ours, theirs = normal(queries), normal(references)
    distances: npt.NDArray[np.float64] = np.sqrt(np.square(ours[:, None] - theirs[None]).mean(axis=2))
    plain, other_plain = ~ours.any(axis=1), ~theirs.any(axis=1)
    # An image of one grey value has no correlation: 1 with its like and 0 with all others, by this package's word.
    distances[plain[:, None] | other_plain[None]] = np.sqrt(2)
    distances[plain[:, None] & other_plain[None]] = 0
    return distances


def small_images(count: int) -> st.SearchStrategy[Bytes]:
    few = st.sampled_from([0, 1, 100, 254, 255])
    return st.integers(1, count).flatmap(
        lambda n: arrays.arrays(np.uint8, (n, 3, 3), elements=few | st.integers(0, 255))
    )


@given(small_images(7), small_images(9), st.sampled_from([0.0, 0.1, 0.5, 1.2, 2.0]))
def test_no_pair_is_missed_whatever_the_bound_rules_out(queries: Bytes, references: Bytes, threshold: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correlation, "AXES", 2)
        patch.setattr(correlation, "BLOCK", 3)
        patch.setattr(correlation, "SAMPLE", 4)
        found = correlation.neighbours(queries, references, threshold)
    expected = all_distances(queries, references)
    assert np.allclose(found.distances, expected.min(axis=1), atol=1e-6)
    assert np.allclose(expected[np.arange(len(queries)), found.nearest], expected.min(axis=1), atol=1e-6)
    pairs = set(map(tuple, found.pairs.tolist()))
    assert pairs >= set(map(tuple, np.argwhere(expected < threshold - 1e-6).tolist()))
    assert pairs <= set(map(tuple, np.argwhere(expected < threshold + 1e-6).tolist()))
    assert len(pairs) == len(found.pairs) == len(found.pair_distances)


def test_copies_in_another_tone_are_found_and_other_images_are_not() -> None:
    train, _ = generated(400, seed=1)
    test, _ = generated(50, seed=2)
    test[7] = train[33]
    test[20] = (train[120] // 2) + 40
    test[31] = np.clip(train[5].astype(int) + np.random.default_rng(0).integers(-3, 4, (28, 28)), 0, 255)
    found = correlation.neighbours(test, train, fmnist_leakage.THRESHOLD)
    assert found.pairs.tolist() == [[7, 33], [20, 120], [31, 5]]
    assert found.distances[7] == 0
    assert found.compared < test.shape[0] * train.shape[0] / 10


@pytest.fixture
def pfs(tmp_path: Path) -> Pfs:
    """Two small splits, of which test images 3 and 4 lie in train, the latter with another label."""
    train, labels = generated(200, seed=3)
    test, test_labels = generated(40, seed=4)
    test[3], test_labels[3] = train[17], labels[17]
    test[4], test_labels[4] = 255 - (255 - train[18]) // 2, (labels[18] + 1) % 10
    put_split(tmp_path / "fmnist-train", train, labels)
    put_split(tmp_path / "fmnist-test", test, test_labels)
    return Pfs(tmp_path, {"fmnist-train_COMMIT": "a" * 32, "fmnist-test_COMMIT": "b" * 32})


def test_the_index_names_commits_pairs_and_the_nearest_of_every_image(pfs: Pfs) -> None:
    fmnist_leakage.leakage(pfs)
    content = (pfs.out / "near_duplicates.json").read_bytes()
    index = near_duplicates.read(content)
    assert index.commits == {"fmnist-train": "a" * 32, "fmnist-test": "b" * 32}
    assert index.positions == index.within(index.threshold) == (3, 4)
    assert index.within(2) == tuple(range(40))
    pairs = json.loads(content)["near_duplicates"]
    assert [(pair["test"], pair["train"]) for pair in pairs] == [(3, 17), (4, 18)]
    assert [(pair["identical"], pair["same_label"]) for pair in pairs] == [(True, True), (False, False)]
    report = json.loads((pfs.out / "report.json").read_text())
    assert (report["test_images"], report["identical"], report["pairs"]) == (2, 1, 2)
    assert report["pairs_of_two_labels"] == pairs[1:]


@pytest.mark.slow
def test_the_page_stands_alone_and_the_same_input_gives_the_same_bytes(pfs: Pfs) -> None:
    environment = dict(os.environ) | dict(pfs.variables) | {"PFS_DIR": str(pfs.root)}
    outputs = []
    for _ in range(2):
        command = [sys.executable, "-m", "pipelines.fmnist_leakage"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "2 of 40 test images (5.00%) have a near-duplicate" in done.stdout
        outputs.append({path.name: path.read_bytes() for path in pfs.out.iterdir()})
    assert outputs[0] == outputs[1]
    assert sorted(outputs[0]) == ["near_duplicates.json", "report.html", "report.json"]
    page = outputs[0]["report.html"].decode()
    Links().feed(page)
    assert "Nearest of another class" in page


class Links(HTMLParser):
    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            assert name not in ("src", "href") or (value or "").startswith(("data:", "#")), (tag, value)


def test_a_split_that_did_not_pass_is_refused_and_nothing_is_written(pfs: Pfs) -> None:
    (pfs.root / "fmnist-train" / "report.json").write_text('{"verdict": "failed"}')
    with pytest.raises(InputRefused, match="its validation says 'failed'"):
        fmnist_leakage.leakage(pfs)
    assert not any(pfs.out.iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an index"),
        (b"[]", "is not an index"),
        (b'{"format_version": 2}', "has format 2; this reads 1"),
        (b'{"format_version": 1, "sources": {}, "threshold": 0.1}', "near_duplicates"),
    ],
    ids=["empty", "list", "format", "part"],
)
def test_another_file_is_no_index(content: bytes, words: str) -> None:
    with pytest.raises(InputRefused, match=words):
        near_duplicates.read(content)


@pytest.mark.slow
def test_the_published_splits_hold_the_near_duplicates_that_the_module_states() -> None:
    (train, train_labels), (test, labels) = published(TRAIN), published(TEST)
    found = correlation.neighbours(test, train, fmnist_leakage.THRESHOLD)
    positions = np.unique(found.pairs[:, 0])
    assert len(found.pairs) == 26
    assert np.bincount(labels[positions], minlength=10).tolist() == [4, 7, 0, 1, 4, 0, 3, 0, 1, 0]
    assert (labels[found.pairs[:, 0]] == train_labels[found.pairs[:, 1]]).all()
    assert (found.distances <= 0.2).sum() == 682
    assert ((found.distances <= 0.2) & (labels != train_labels[found.nearest])).sum() == 15
    assert found.distances.min() > 0
    queries = np.array([*positions[:5], *range(0, 10000, 2000)])
    correlations = normal(test[queries]) @ normal(train).T / 784
    assert found.nearest[queries].tolist() == correlations.argmax(axis=1).tolist()
    assert np.allclose(found.distances[queries], np.sqrt(2 - 2 * correlations.max(axis=1)), atol=1e-7)
