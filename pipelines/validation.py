"""Judges one split: the files, then the numbers in them, then whether labels and images belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from data.catalog import Split as SplitFiles
from pipelines import idx, measures
from pipelines.checks import Check, failures
from pipelines.files import Labels, Pixels
from pipelines.measures import PixelStatistics
from pipelines.profile import Profile
from pipelines.settings import Settings
from pipelines.split import SIDE

ALLOWANCE = 5.0
"""Standard errors by which a sample may miss a bound: a fair one does so once in two million times."""

BLOCK = 250
"""Labels are judged in blocks of so many images, so that a shift that begins in the middle is seen, and where.

Measured on Fashion-MNIST, share of images nearest to their own class's mean: right labels at least 0.58 in every block,
labels shifted by one at most 0.15.  Blocks of 100: 0.54 and 0.21."""

FEWEST_TO_JUDGE = 100
"""Below so many images right and shifted labels cannot be told apart with certainty."""

FEWEST_OF_A_CLASS = 60
"""A mean of fewer images may lie nearer to another class's (on Fashion-MNIST: Pullover and Coat)."""

PIXEL_TOLERANCE = 0.04
"""Relative; the test split differs from the train split by 0.005 at most."""


@dataclass
class Findings:
    """What a validation found; images and labels are None until their file could be read."""

    checks: list[Check] = field(default_factory=list)
    images: Pixels | None = None
    labels: Labels | None = None
    counts: list[int] = field(default_factory=list)
    statistics: PixelStatistics | None = None
    class_statistics: list[PixelStatistics | None] = field(default_factory=list)
    duplicates: list[list[int]] = field(default_factory=list)

    @property
    def failed(self) -> list[Check]:
        """The checks that do not hold; none means that the split is accepted."""
        return failures(self.checks)

    def add(self, name: str, value: str, bound: str, passed: bool, reason: str) -> bool:
        """Note a check; returns whether it holds."""
        self.checks.append(Check(name, value, bound, bool(passed), "" if passed else reason))
        return bool(passed)


def validate(contents: dict[str, bytes], files: SplitFiles, settings: Settings) -> Findings:
    """All checks that can be made of these files; a check whose ground is missing is left out."""
    found = Findings()
    wanted = [file.name for file in files.files]
    missing = [name for name in wanted if name not in contents]
    reason = f"{' and '.join(missing)} missing; the input holds {', '.join(sorted(contents)) or 'nothing'}"
    if not found.add("files", f"{len(contents)}", " and ".join(wanted), not missing, reason):
        return found
    checks, found.images = idx.read(files.images.name, contents[files.images.name], 3, "images")
    found.checks += checks
    checks, found.labels = idx.read(files.labels.name, contents[files.labels.name], 1, "labels")
    found.checks += checks
    if found.images is not None and found.labels is not None and _whole(found, found.images, found.labels, settings):
        _numbers(found, found.images, found.labels, settings)
        _belonging(found, found.images, found.labels, settings)
    return found


def _whole(found: Findings, images: Pixels, labels: Labels, settings: Settings) -> bool:
    height, width = images.shape[1:]
    classes = len(settings.class_names)
    at = int(labels.argmax()) if len(labels) else 0
    largest = int(labels[at]) if len(labels) else 0
    steps = (
        found.add(
            "image size", f"{height} x {width}", f"{SIDE} x {SIDE}", (height, width) == (SIDE, SIDE),
            f"images are {height} x {width} pixels, not {SIDE} x {SIDE}",
        ),
        found.add(
            "counts", f"{len(images)} images, {len(labels)} labels", "equal, not 0", 0 < len(images) == len(labels),
            f"{len(images)} images but {len(labels)} labels" if len(images) != len(labels) else "the split is empty",
        ),
        found.add(
            "label range", f"up to {largest}", f"0 to {classes - 1}", largest < classes,
            f"label {largest} at position {at}; CLASS_NAMES has 0 to {classes - 1}",
        ),
    )  # fmt: skip
    return all(steps)


def _numbers(found: Findings, images: Pixels, labels: Labels, settings: Settings) -> None:
    count, classes = len(images), len(settings.class_names)
    found.counts = np.bincount(labels, minlength=classes).tolist()
    found.statistics = measures.pixel_statistics(images)
    found.class_statistics = [
        measures.pixel_statistics(images[labels == label]) if found.counts[label] else None for label in range(classes)
    ]
    found.duplicates = measures.duplicates(images)
    _balance(found, settings)

    blank = measures.blank(images)
    first = ", ".join(map(str, blank[:5]))
    found.add(
        "blank images", str(len(blank)), "0", not len(blank), f"{len(blank)} images of one grey value, at {first}"
    )

    repeated = sum(len(group) - 1 for group in found.duplicates)
    example = found.duplicates[0] if found.duplicates else []
    found.add(
        "duplicates", f"{repeated} of {count}", f"at most {settings.max_duplicates:.1%}",
        repeated <= settings.max_duplicates * count,
        f"{repeated} of {count} images repeat an earlier one, such as positions {example[:4]}",
    )  # fmt: skip
    if settings.profile:
        _pixels(found, found.statistics, settings.profile, count)


def _balance(found: Findings, settings: Settings) -> None:
    fair = sum(found.counts) / len(found.counts)
    slack = settings.balance_tolerance * fair + ALLOWANCE * fair**0.5
    low, high = max(0.0, fair - slack), fair + slack
    off = [f"{name} {count}" for name, count in zip(settings.class_names, found.counts, strict=True)
           if not low <= count <= high]  # fmt: skip
    found.add(
        "class balance", f"{min(found.counts)} to {max(found.counts)} a class", f"{low:.0f} to {high:.0f}", not off,
        f"classes out of balance ({low:.0f} to {high:.0f} images expected): {', '.join(off)}",
    )  # fmt: skip


def _pixels(found: Findings, measured: PixelStatistics, profile: Profile, count: int) -> None:
    for name in ("mean", "std", "background"):
        value, known, spread = (getattr(each, name) for each in (measured, profile.pixels, profile.between_images))
        slack = PIXEL_TOLERANCE * known + ALLOWANCE * spread / count**0.5
        found.add(
            f"pixels: {name}", f"{value:.4g}", f"{known - slack:.4g} to {known + slack:.4g}",
            abs(value - known) <= slack,
            f"pixel {name} {value:.4g} is not that of {profile.name} ({known:.4g}): inverted, scaled or other images?",
        )  # fmt: skip


def _belonging(found: Findings, images: Pixels, labels: Labels, settings: Settings) -> None:
    if len(images) < FEWEST_TO_JUDGE:
        words = f"not judged: fewer than {FEWEST_TO_JUDGE} images"
        found.add("labels belong to images", words, f"at least {settings.min_agreement:.2f}", True, "")
        return
    agree = measures.agreement(images, labels, len(settings.class_names))
    blocks = np.array_split(agree, max(1, len(agree) // BLOCK))
    shares = [float(block.mean()) for block in blocks]
    low = [number for number, share in enumerate(shares) if share < settings.min_agreement]
    start = sum(len(block) for block in blocks[: low[0]]) if low else 0
    found.add(
        "labels belong to images", f"{min(shares):.2f} to {max(shares):.2f} a block",
        f"at least {settings.min_agreement:.2f}", not low,
        f"from position {start} on, labels agree with their images in {shares[low[0]] if low else 0:.0%} of the cases: "
        f"are they shifted against the images? ({len(low)} of {len(blocks)} blocks)",
    )  # fmt: skip
    if settings.profile and not low:
        _order(found, images, labels, settings.profile, settings.class_names)


def _order(found: Findings, images: Pixels, labels: Labels, profile: Profile, names: Sequence[str]) -> None:
    """Renamed or swapped classes agree with themselves; only what is known of the data set tells them."""
    if min(found.counts) < FEWEST_OF_A_CLASS:
        words = f"not judged: fewer than {FEWEST_OF_A_CLASS} images of a class"
        found.add("label order", words, f"that of {profile.name}", True, "")
        return
    means = measures.class_means(images, labels, len(names))
    nearest = np.square(means[:, None] - profile.means[None]).sum(axis=2).argmin(axis=1)
    wrong = [f"{names[label]} looks like {names[other]}" for label, other in enumerate(nearest) if label != other]
    found.add(
        "label order", f"{len(names) - len(wrong)} of {len(names)} classes", f"that of {profile.name}", not wrong,
        f"labels are not in the order of {profile.name}: {', '.join(wrong)}",
    )  # fmt: skip
