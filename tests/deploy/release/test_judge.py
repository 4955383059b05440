"""What refuses a candidate, what does not, and that more harm never turns a refusal into a release."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.release import release
from deploy.release.judge import Evidence, judge
from deploy.release.traffic import FAILED, Answer, Counters

N = 120
TRUTH = np.arange(N) % 10


def answered(version: str, labels: list[int] | None = None, seconds: float = 0.01) -> list[Answer]:
    given = [int(label) for label in TRUTH] if labels is None else labels
    return [
        Answer(version, label, seconds * (1 + index / N), "broken" * (label == FAILED))
        for index, label in enumerate(given)
    ]


def counted(images: float) -> Counters:
    return Counters(images, images, images / 500)


def evidence(new: list[Answer] | None = None, weight: int | None = None, share: float | None = None) -> Evidence:
    mine = answered("2") if new is None else new
    canary = round(N * (weight or 0) / 100 if share is None else share)
    ingress = [*answered("2")[:canary], *answered("1")[canary:]]
    counters = None if weight else (counted(N), counted(N))
    return Evidence(TRUTH, ("1", "2"), ingress, mine, answered("1"), weight, counters)


def refused(given: Evidence) -> set[str]:
    findings = judge(given)
    json.dumps([asdict(finding) for finding in findings])
    return {finding.rule for finding in findings if not finding.ok}


def wrong(count: int) -> list[int]:
    return [int(label) if index >= count else int(label + 1) % 10 for index, label in enumerate(TRUTH)]


@pytest.mark.parametrize("weight", [None, 10, 50])
def test_an_equal_candidate_goes_on(weight: int | None) -> None:
    assert refused(evidence(weight=weight)) == set()


@pytest.mark.parametrize(
    ("new", "rules"),
    [
        (answered("2", wrong(5)), set()),
        (answered("2", wrong(6)), {"accuracy"}),
        (answered("2", wrong(60)), {"accuracy", "disagreement"}),
        (answered("2", [FAILED, *map(int, TRUTH[1:])]), set()),
        (answered("2", [FAILED, FAILED, *map(int, TRUTH[2:])]), {"errors"}),
        (answered("2", seconds=0.02), set()),
        (answered("2", seconds=0.2), {"latency"}),
    ],
)
def test_each_limit_refuses_beyond_it(new: list[Answer], rules: set[str]) -> None:
    assert refused(evidence(new)) == rules


def test_a_shadow_that_got_no_copies_is_refused() -> None:
    assert refused(replace(evidence(), counters=(counted(3), counted(N)))) == {"mirror"}
    assert refused(replace(evidence(), counters=(counted(0), counted(0)))) == {"mirror"}
    assert refused(replace(evidence(), counters=(counted(N - 2), counted(N)))) == set()


def test_what_a_shadow_refused_is_told_beside_the_live_versions() -> None:
    shadow, live = replace(counted(3), refusals={"500": 117.0}), replace(counted(N), refusals={"400": 2.0, "500": 0.0})
    (mirror,) = (each for each in judge(replace(evidence(), counters=(shadow, live))) if each.rule == "mirror")
    assert mirror.sentence.endswith("the shadow refused 117 with status 500, the live version 2 with status 400")


def test_the_split_has_to_fit_the_weight() -> None:
    assert refused(evidence(weight=50, share=0)) == {"split"}
    assert refused(evidence(weight=10, share=60)) == {"split"}
    assert refused(evidence(weight=None, share=1)) == {"split"}
    strangers = replace(evidence(weight=50), ingress=answered("7"))
    assert refused(strangers) == {"split"}


def test_the_split_has_its_interval() -> None:
    def sentence(given: Evidence) -> str:
        return next(finding.sentence for finding in judge(given) if finding.rule == "split")

    assert sentence(evidence(weight=50)) == "version 2 gave 60 of 120 answers at weight 50 (40.7% to 59.3%)"
    assert sentence(evidence()) == "version 2 gave 0 of 120 answers at weight 0 (0.0% to 3.0%)"
    nobody = replace(evidence(weight=50), ingress=answered("1", [FAILED] * N))
    assert sentence(nobody) == "version 2 gave 0 of 0 answers at weight 50"


def test_two_images_of_one_version_cannot_be_told_apart_and_that_is_said() -> None:
    same = replace(evidence(weight=50), versions=("2", "2"))
    (split,) = (finding for finding in judge(same) if finding.rule == "split")
    assert split.ok
    assert "cannot be told apart" in split.sentence


def test_without_a_live_version_only_the_candidate_itself_is_judged() -> None:
    first = Evidence(TRUTH, (None, "2"), answered("2"), answered("2"), None, 100)
    assert {finding.rule for finding in judge(first)} == {"errors", "split"}
    assert refused(first) == set()


def test_few_images_refuse_nobody_by_latency() -> None:
    few = Evidence(
        TRUTH[:20],
        ("1", "2"),
        answered("1")[:20],
        answered("2", seconds=9)[:20],
        answered("1")[:20],
        None,
        (counted(20), counted(20)),
    )
    assert refused(few) == set()
    (latency,) = (finding for finding in judge(few) if finding.rule == "latency")
    assert "too few answers (20) to decide" in latency.sentence


@pytest.mark.slow
@settings(max_examples=60)
@given(
    labels=st.lists(st.integers(FAILED, 9), min_size=N, max_size=N),
    seconds=st.floats(0.001, 1),
    harmed=st.sets(st.integers(0, N - 1)),
    slower=st.floats(1, 10),
)
def test_more_harm_never_helps(labels: list[int], seconds: float, harmed: set[int], slower: float) -> None:
    before = answered("2", labels, seconds)
    after = [
        replace(each, seconds=each.seconds * slower, label=FAILED if index in harmed else each.label)
        for index, each in enumerate(before)
    ]
    assert refused(evidence(before)) <= refused(evidence(after))


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_release_without_images_to_judge_by_does_not_begin(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        release.main(["--images", count])
    assert f"argument --images: '{count}' is not a number from 1 on" in capsys.readouterr().err
