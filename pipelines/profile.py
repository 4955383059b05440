"""What is known of one published data set: its pixels and the mean image of each class.

A profile is named by the variable PROFILE of a spec; without one, a split is judged by the general checks alone.
`profiles/<name>.json` is made from the published train split by `python -m pipelines.profile IMAGES LABELS`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines import idx
from pipelines.errors import Misconfigured
from pipelines.files import Labels, Pixels
from pipelines.measures import PixelStatistics, class_means, pixel_statistics

FOLDER = Path(__file__).parent / "profiles"


@dataclass(frozen=True)
class Profile:
    """`between_images` is the standard deviation of each statistic from image to image, which tells how far the
    statistic of n images may lie from that of all; `means` is float64 [classes, 49]."""

    name: str
    pixels: PixelStatistics
    between_images: PixelStatistics
    means: npt.NDArray[np.float64]


def load(name: str) -> Profile:
    """The profile of that name.  Raises Misconfigured if there is none."""
    known = sorted(path.stem for path in FOLDER.glob("*.json"))
    if name not in known:
        raise Misconfigured(f"PROFILE={name}: there is no such profile; there is {', '.join(known)}")
    document = json.loads((FOLDER / f"{name}.json").read_bytes())
    return Profile(
        name,
        PixelStatistics(**document["pixels"]),
        PixelStatistics(**document["between_images"]),
        np.array(document["class_means"], np.float64),
    )


def measure(images: Pixels, labels: Labels) -> dict[str, object]:
    """The content of a profile's file."""
    flat = images.reshape(len(images), -1)
    spread = PixelStatistics(
        float(flat.mean(axis=1).std()), float(flat.std(axis=1).std()), float((flat == 0).mean(axis=1).std())
    )
    means = class_means(images, labels, int(labels.max()) + 1)
    return {
        "pixels": _rounded(pixel_statistics(images)),
        "between_images": _rounded(spread),
        "class_means": means.round(1).tolist(),
    }


def _rounded(statistics: PixelStatistics) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(statistics).items()}


def main(arguments: list[str]) -> int:
    """Print the profile of one split."""
    (_, images), (_, labels) = (
        idx.read(path, Path(path).read_bytes(), dimensions) for path, dimensions in zip(arguments, (3, 1), strict=True)
    )
    if images is None or labels is None:
        print("pipelines.profile: these are not a split's images and labels", file=sys.stderr)
        return 1
    print(json.dumps(measure(images, labels)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
