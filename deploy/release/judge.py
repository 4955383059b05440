"""Whether a candidate may go on: every limit, every reason, and no network.

A limit is passed by what is certain, not by what may be chance: latency, disagreement and accuracy refuse only where
the whole 95 % interval lies beyond the limit.  An answer that fails counts as a wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from deploy.release.traffic import FAILED, Answer, Counters

CONFIDENCE = 0.95
CHANCE = 1e-6
"""How improbable a share of the answers has to be before the weights are held to be wrong."""


@dataclass(frozen=True)
class Limits:
    """What a candidate may cost, each with its reason."""

    errors: float = 0.01
    """Share of good requests that may fail: one stray connection among hundreds is no reason, one in a hundred is."""
    latency_factor: float = 1.5
    """p95 beside the live version's, in turns on the same pods' way: half as much again would need more replicas."""
    latency_allowance: float = 0.02
    """Seconds on top: below that, a person does not notice, and a busy node makes as much."""
    disagreement: float = 0.2
    """Share of images with another answer than the live version's: versions of 90 % accuracy differ on at most 20 %."""
    accuracy_loss: float = 0.0
    """How much less accurate with confidence: not at all, as in the accuracy gate."""
    unmirrored: float = 0.05
    """Share of the live version's images that the shadow's counter may lack: mirroring promises no delivery."""


@dataclass(frozen=True)
class Evidence:
    """What one phase has shown.

    `truth` are the labels of the images [n]; `versions` the live one and the candidate; `new` and `old` the answers of
    each version's own pods to the images, `old` None where nothing was live; `ingress` the answers through the ingress;
    `weight` the candidate's percentage of those, None for a shadow; `counters` what shadow and live version counted
    themselves meanwhile, whoever's requests those were.
    """

    truth: npt.NDArray[np.integer[Any]]
    versions: tuple[str | None, str]
    ingress: Sequence[Answer]
    new: Sequence[Answer]
    old: Sequence[Answer] | None
    weight: int | None
    counters: tuple[Counters, Counters] | None = None


@dataclass(frozen=True)
class Finding:
    """One rule's outcome; `ok` False refuses the candidate."""

    rule: str
    ok: bool
    sentence: str


def judge(evidence: Evidence, limits: Limits = Limits()) -> list[Finding]:
    """All findings of a phase; the candidate goes on if each is ok."""
    return list(_findings(evidence, limits))


def _findings(evidence: Evidence, limits: Limits) -> Iterator[Finding]:
    yield _errors("ingress", evidence.ingress, limits)
    yield _errors("the candidate's pods", evidence.new, limits)
    yield _split(evidence)
    if evidence.counters is not None:
        yield _mirror(*evidence.counters, limits)
    if evidence.old is not None:
        yield _latency(evidence.new, evidence.old, limits)
        yield _disagreement(evidence.new, evidence.old, limits)
        yield _accuracy(evidence, limits)


def fits(count: int, total: int, weight: int) -> bool:
    """Whether `count` of `total` answers is what a weight of so many percent may give."""
    if weight in (0, 100):
        return count == total * weight // 100
    return count > 0 and float(stats.binomtest(count, total, weight / 100).pvalue) > CHANCE


def interval(count: int, total: int) -> tuple[float, float]:
    """95 % interval of a share, Clopper and Pearson's."""
    found = stats.binomtest(count, total).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)


def p95(answers: Sequence[Answer]) -> tuple[float, float, float]:
    """The 95th percentile of the seconds and its 95 % interval without a distribution; NaN where there are too few."""
    seconds = np.array([each.seconds for each in answers])
    found = stats.quantile_test(seconds, p=0.95).confidence_interval(CONFIDENCE)
    return float(np.quantile(seconds, 0.95)), float(found.low), float(found.high)


def _errors(where: str, answers: Sequence[Answer], limits: Limits) -> Finding:
    failed = [each for each in answers if each.label == FAILED]
    low, high = interval(len(failed), len(answers))
    words = f"{where}: {len(failed)} of {len(answers)} requests failed ({_percent(low)} to {_percent(high)})"
    ok = len(failed) <= limits.errors * len(answers)
    if failed:
        words += f"; at most {_percent(limits.errors)} may. The first: {failed[0].problem}"
    return Finding("errors", ok, words)


def _split(evidence: Evidence) -> Finding:
    """Who answered through the ingress: a shadow never, a canary at about its weight, nobody else."""
    old, new = evidence.versions
    given = [each.version for each in evidence.ingress if each.label != FAILED]
    if old == new:
        return Finding("split", True, f"both are version {new}: answers through the ingress cannot be told apart")
    strangers = [version for version in given if version not in (old, new)]
    count, weight = given.count(new), evidence.weight or 0
    words = f"version {new} gave {count} of {len(given)} answers at weight {weight}"
    if given:
        low, high = interval(count, len(given))
        words += f" ({_percent(low)} to {_percent(high)})"
    if strangers:
        return Finding("split", False, f"{words}; {len(strangers)} came from another version ({strangers[0]})")
    return Finding("split", fits(count, len(given), weight), words)


def _mirror(shadow: Counters, live: Counters, limits: Limits) -> Finding:
    """Whether the shadow answered what the live version answered: a request that failed in it is not counted."""
    words = (
        f"by its own counters the shadow classified {shadow.images:.0f} images, the live version {live.images:.0f}; "
        f"in the model a request took {_mean(shadow)}, in the live one {_mean(live)}; "
        f"the shadow refused {_by_status(shadow)}, the live version {_by_status(live)}"
    )
    return Finding("mirror", live.images > 0 and shadow.images >= (1 - limits.unmirrored) * live.images, words)


def _mean(counters: Counters) -> str:
    return _ms(counters.seconds / counters.requests) if counters.requests else "no time"


def _by_status(counters: Counters) -> str:
    words = [f"{count:.0f} with status {status}" for status, count in sorted(counters.refusals.items()) if count]
    return ", ".join(words) or "none"


def _latency(new: Sequence[Answer], old: Sequence[Answer], limits: Limits) -> Finding:
    (mine, low, _), (theirs, _, high) = p95(new), p95(old)
    if math.isnan(low) or math.isnan(high):
        words = f"too few answers ({len(new)}) to decide: p95 {_ms(mine)} beside {_ms(theirs)} of the live version"
        return Finding("latency", True, words)
    limit = limits.latency_factor * high + limits.latency_allowance
    words = (
        f"p95 {_ms(mine)} (at least {_ms(low)}) beside {_ms(theirs)} (at most {_ms(high)}) of the live version; "
        f"the limit is {_ms(limit)}"
    )
    return Finding("latency", low <= limit, words)


def _disagreement(new: Sequence[Answer], old: Sequence[Answer], limits: Limits) -> Finding:
    different = sum(a.label != b.label or FAILED in (a.label, b.label) for a, b in zip(new, old, strict=True))
    low, high = interval(different, len(new))
    words = (
        f"another answer than the live version's for {different} of {len(new)} images ({_percent(low)} to "
        f"{_percent(high)}); the limit is {_percent(limits.disagreement)}"
    )
    return Finding("disagreement", low <= limits.disagreement, words)


def _accuracy(evidence: Evidence, limits: Limits) -> Finding:
    """Paired: only images that exactly one version gets right tell them apart (McNemar's exact test)."""
    new, old = (
        np.array([each.label for each in side or ()]) == evidence.truth for side in (evidence.new, evidence.old)
    )
    gained, lost = int((new & ~old).sum()), int((old & ~new).sum())
    low, high = interval(gained, gained + lost) if gained + lost else (0.5, 0.5)
    scale = (gained + lost) / len(new)
    difference = ((2 * low - 1) * scale, (2 * high - 1) * scale)
    words = (
        f"accuracy {_percent(new.mean())}, live {_percent(old.mean())}; difference {(gained - lost) / len(new):+.1%} "
        f"({difference[0]:+.1%} to {difference[1]:+.1%})"
    )
    return Finding("accuracy", difference[1] >= -limits.accuracy_loss, words)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
