"""fmnist-leakage: which test images the training split nearly holds, as a report and as an index for the evaluation.

Where the line is drawn, and why, was settled by looking at the pairs of Fashion-MNIST in the order of their distance
(`pipelines.correlation` defines it).  Up to 0.1 (a correlation of 0.995) both images show the same article, often from
the same photograph in another tone.  The first pair with another print follows at 0.112, and from 0.12 on trousers,
which are much alike in 28 x 28 pixels, outnumber everything else.  Plain pixel differences do worse: they miss an
article in another tone and put pairs of unlike dark trousers before it.

Measured on the published splits: 20 of the 10,000 test images within 0.1 (26 pairs; 7 trousers, 4 coats, 4 tops, 3
shirts, a dress, a bag; none with another label), none equal in every pixel; 682 within 0.2, 15 of them labelled
otherwise.  Mirrored, one more test image comes within 0.1 (9635, symmetric trousers), and moved by a pixel one more
(7269), so neither is searched.  That such pairs exist: C. Geier, "Training on test data: Removing near duplicates in
Fashion-MNIST", arXiv 1906.08255.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from pipelines import correlation, leakage_page, near_duplicates, split
from pipelines.correlation import Neighbours
from pipelines.files import write_json
from pipelines.pfs import Pfs, run
from pipelines.split import Split

NAME = "fmnist-leakage"
TRAIN, TEST = "fmnist-train", "fmnist-test"
THRESHOLD = 0.1


def leakage(pfs: Pfs) -> None:
    """Read both validated splits, search, and write index and reports.  Raises InputRefused."""
    train, test = split.read(pfs.input(TRAIN)), split.read(pfs.input(TEST))
    found = correlation.neighbours(test.images, train.images, THRESHOLD)
    sources = {
        name: {"commit": pfs.commit(name), "images": len(part.labels)} for name, part in ((TRAIN, train), (TEST, test))
    }
    pairs = _pairs(found, train, test)
    nearest = {"train": found.nearest.tolist(), "distance": found.distances.tolist()}
    report = _report(sources, found, pairs, train, test) | {"code": pfs.variables.get("PIPELINES_VERSION")}
    write_json(pfs.out / near_duplicates.NAME, near_duplicates.document(sources, THRESHOLD, pairs, nearest))
    write_json(pfs.out / split.REPORT, report)
    leakage_page.write(pfs.out / "report.html", report, found, train, test)
    print(f"{NAME}: {report['summary']}")


def _pairs(found: Neighbours, train: Split, test: Split) -> list[dict[str, Any]]:
    return [
        {
            "test": int(ours),
            "train": int(theirs),
            "distance": float(distance),
            "same_label": bool(test.labels[ours] == train.labels[theirs]),
            "identical": bool(np.array_equal(test.images[ours], train.images[theirs])),
        }
        for (ours, theirs), distance in zip(found.pairs, found.pair_distances, strict=True)
    ]


def _report(
    sources: dict[str, Any], found: Neighbours, pairs: list[dict[str, Any]], train: Split, test: Split
) -> dict[str, Any]:
    names = test.class_names
    positions = sorted({pair["test"] for pair in pairs})
    identical = len({pair["test"] for pair in pairs if pair["identical"]})
    otherwise = [pair for pair in pairs if not pair["same_label"]]
    count = len(test.labels)
    summary = (
        f"{len(positions)} of {count:,} test images ({len(positions) / count:.2%}) have a near-duplicate among "
        f"{len(train.labels):,} training images; {identical} are equal in every pixel, "
        f"{len(otherwise)} of {len(pairs)} pairs have two different labels."
    )
    other_label = found.distances[test.labels != train.labels[found.nearest]]
    return {
        "format_version": 1,
        "pipeline": NAME,
        "verdict": "near-duplicates found" if positions else "no near-duplicates",
        "summary": summary,
        "sources": sources,
        "metric": near_duplicates.METRIC,
        "threshold": THRESHOLD,
        "class_names": list(names),
        "test_images": len(positions),
        "identical": identical,
        "pairs": len(pairs),
        "pairs_of_two_labels": otherwise,
        "by_class": np.bincount(test.labels[positions], minlength=len(names)).tolist(),
        "nearest_distance": {
            f"{q} %": float(value)
            for q, value in zip((0, 1, 5, 25, 50, 75, 100), _percentiles(found.distances), strict=True)
        },
        "within": {
            f"{limit:.2f}": {
                "test_images": int((found.distances <= limit).sum()),
                "nearest_has_another_label": int((other_label <= limit).sum()),
            }
            for limit in (0.05, 0.1, 0.15, 0.2, 0.3)
        },
        "compared_exactly": found.compared,
    }


def _percentiles(distances: Any) -> Any:
    return np.percentile(distances, (0, 1, 5, 25, 50, 75, 100))


if __name__ == "__main__":
    sys.exit(run(NAME, leakage))
