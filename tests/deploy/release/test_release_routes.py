"""A whole release where routes come late, as on a cluster: Deployments and state tell nothing of a changed weight."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from deploy.release import access, apply, candidate, history, ingress, manifest, phases, pods, traffic, verdict
from deploy.release.candidate import Candidate, Refused
from deploy.release.errors import DeployError, ReleaseError
from deploy.release.judge import Finding, Limits
from deploy.release.release import run, standing
from deploy.release.samples import Samples
from deploy.release.traffic import FAILED, Answer, Counters
from tests.deploy.release.test_history import entry
from tests.deploy.release.test_manifest import IMAGE
from tests.deploy.release.test_phases import BASE, NEW, live

N = 200
LABELS = (np.arange(N) % 10).astype(np.uint8)


class Ingress:
    """Answers by the weights that were applied `lag` batches of requests ago."""

    def __init__(self, lag: int, broken: bool = False) -> None:
        self.lag, self.broken = lag, broken
        self.routes: list[tuple[int, bool]] = [(0, False)]
        self.left = 0
        self.seldon: dict[str, Any] = {}
        self.received = {"default": 0, "candidate": 0}

    def apply(self, _: Any, seldon: Any, seconds: float) -> None:
        candidate: dict[str, Any] = next(
            (each for each in seldon["spec"]["predictors"] if each["name"] == phases.CANDIDATE), {}
        )
        mirrored = bool(candidate.get("shadow"))
        self.routes = [self.routes[-1], (0 if mirrored else candidate.get("traffic", 0), mirrored)]
        self.left, self.seldon = self.lag, seldon

    def answer(self, _: str, images: Any) -> list[Answer]:
        weight, mirrored = self.routes[0 if self.left > 0 else -1]
        self.left -= 1
        news = [index % 100 < weight for index in np.random.default_rng(7).permutation(N)[: len(images)]]
        self.received["default"] += len(images) - sum(news)
        self.received["candidate"] += len(images) if mirrored else sum(news)
        new = Answer(None, FAILED, 0.01, "broken") if self.broken else Answer("4", 0, 0.01)
        return [new if mine else Answer("3", 0, 0.01) for mine in news]

    def counted(self, _: Any, predictor: str) -> Counters:
        count = self.received[predictor]
        return Counters(count, count, 0)

    def direct(self, _: Any, predictors: list[str], images: Any) -> dict[str, list[Answer]]:
        return {name: [Answer("3", int(label), 0.01) for label in LABELS] for name in predictors}


def released(monkeypatch: pytest.MonkeyPatch, door: Ingress) -> tuple[Candidate, list[history.Entry]]:
    @contextmanager
    def reachable(namespace: str) -> Iterator[None]:
        yield None

    noted: list[history.Entry] = []
    monkeypatch.setattr(ingress, "base_url", lambda namespace: "http://127.0.0.1:1")
    monkeypatch.setattr(apply, "apply", door.apply)
    monkeypatch.setattr(apply, "confirm", lambda image, namespace, seconds: "")
    monkeypatch.setattr(apply, "_POLL", 0)
    monkeypatch.setattr(access, "apply", lambda seldon: "")
    monkeypatch.setattr(history, "add", lambda namespace, entry: noted.append(entry))
    monkeypatch.setattr(pods, "reachable", reachable)
    monkeypatch.setattr(traffic, "through_ingress", door.answer)
    monkeypatch.setattr(traffic, "counted", door.counted)
    monkeypatch.setattr(traffic, "direct", door.direct)
    monkeypatch.setattr(verdict, "write", lambda *_: "report.md")
    chosen = Samples(np.zeros((N, 28, 28), np.uint8), LABELS, np.arange(N))
    return Candidate(NEW, [BASE], live(), live(), chosen, 1, Console(file=io.StringIO(), soft_wrap=True)), noted


def test_late_routes_refuse_nobody(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    new, noted = released(monkeypatch, Ingress(lag=3))
    run(new, [10, 50])
    assert [phase.name for phase in new.done] == ["shadow", "canary 10 %", "canary 50 %"]
    assert [each.verdict for each in noted] == [history.LIVE]
    assert capsys.readouterr().out.splitlines() == [
        "waiting for the shadow's counters to show a copied request",
        "waiting for the ingress to give version 4 10 % of the requests",
        "waiting for the ingress to give version 4 50 % of the requests",
    ]


def test_phases_in_processes_of_their_own_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Ingress(lag=0)
    first, noted = released(monkeypatch, door)
    run(first, [10], ["shadow"])
    done = first.done
    for phase in ("compare", "canary", "promote"):
        found = door.seldon
        assert found["spec"]["predictors"][0]["labels"]["model-version"] == "3"
        standing_now = standing(found, NEW["reference"], [], BASE)
        one = Candidate(NEW, [BASE], found, standing_now, first.chosen, 1, first.console, done=done)
        run(one, [10], [phase])
        done = one.done
    assert [phase.name for phase in done] == ["shadow", "canary 10 %"]
    assert [each.verdict for each in noted] == [history.LIVE]
    assert door.seldon == one.wanted


def test_the_report_goes_on_where_another_process_left_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verdict, "FOLDER", tmp_path)
    assert verdict.earlier("i@sha256:new") == []
    done = [verdict.Phase("shadow", 3.5, [Finding("errors", True, "none failed")])]
    image = {"reference": "i@sha256:new", "model_version": 4, "checkpoint_uuid": "c"}
    verdict.write(image, None, done, Limits(), "may go on")
    assert verdict.earlier("i@sha256:new") == done
    assert verdict.earlier("i@sha256:other") == []
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(ReleaseError, match="is damaged"):
        verdict.earlier("i@sha256:new")


def test_routes_that_never_come_are_judged_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate, "_ROUTES_SECONDS", 0.05)
    monkeypatch.setattr(candidate, "_MIRROR_SECONDS", 0)
    new, _ = released(monkeypatch, Ingress(lag=10**9))
    with pytest.raises(Refused, match="refused in phase shadow: by its own counters the shadow classified 0 images"):
        run(new, [10, 50])
    assert isinstance(new.console.file, io.StringIO)
    assert "mirroring was not reached" in new.console.file.getvalue()


def test_a_failing_canary_is_judged_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new, noted = released(monkeypatch, Ingress(lag=0, broken=True))
    with pytest.raises(Refused, match="refused in phase canary 10 %: ingress: 20 of 200 requests failed"):
        run(new, [10])
    assert capsys.readouterr().out == ""
    assert [each.verdict for each in noted] == [history.REFUSED]


def test_what_a_killed_run_left_is_judged_and_not_promoted() -> None:
    own = manifest.render(BASE, IMAGE)
    reference = str(IMAGE["reference"])
    mine = history.Entry.of("release", IMAGE)
    assert standing(None, reference, [], BASE) is None
    assert standing(own, "another", [], BASE) is own
    assert standing(own, reference, [mine], BASE) is own
    assert standing(own, reference, [history.Entry.of("release", IMAGE, history.REFUSED)], BASE) is None
    before = standing(own, reference, [entry(1)], BASE)
    assert before is not None
    assert phases.image_of(before)["reference"] == entry(1).image


def test_going_back_that_fails_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    new, _ = released(monkeypatch, Ingress(lag=0, broken=True))

    def back(reason: str) -> None:
        raise DeployError("kubectl apply: no connection\nmore")

    monkeypatch.setattr(new, "back", back)
    with pytest.raises(Refused, match="refused in phase canary"):
        run(new, [10])
    assert isinstance(new.console.file, io.StringIO)
    told = new.console.file.getvalue()
    assert "was not released: refused in phase canary 10 %" in told
    assert "Going back failed, make rollback does it: kubectl apply: no connection" in told
    assert "report: report.md" in told
