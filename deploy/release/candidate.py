"""One candidate on its way from shadow to live: how it is placed on the cluster, measured and judged.

Where it stands is read from the SeldonDeployment, so that each phase may be a process, and a job, of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rich.console import Console

from deploy.release import access, apply, history, ingress, kubectl, manifest, phases, pods, samples, traffic, verdict
from deploy.release.errors import DeployError, ReleaseError
from deploy.release.judge import Evidence, Limits, fits, judge
from deploy.release.phases import Place

_MIRROR_SECONDS = 20.0
_ROUTES_SECONDS = 60.0
"""For every gateway to take new routes: neither Deployments nor the state of the SeldonDeployment tell when."""
_PROBES = 20
_POLL = 0.5


class Refused(ReleaseError):
    """The candidate may not go on; the message says in which phase and why."""


@dataclass
class Candidate:
    """One image: what stands on the cluster, what of it is live, and what has been found so far."""

    image: dict[str, Any]
    objects: list[manifest.Manifest]
    found: dict[str, Any] | None
    live: dict[str, Any] | None
    chosen: samples.Samples
    seconds: float
    console: Console
    limits: Limits = field(default_factory=Limits)
    done: list[verdict.Phase] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wanted = manifest.render(manifest.seldon_of(self.objects), self.image)
        self.namespace = manifest.namespace_of(self.wanted)
        self.version = str(self.image["model_version"])

    @cached_property
    def base(self) -> str:
        """Where the ingress serves it."""
        return ingress.base_url(self.namespace)

    @property
    def before(self) -> dict[str, Any] | None:
        """The live image."""
        return phases.image_of(self.live) if self.live else None

    @property
    def place(self) -> Place:
        """Where it stands."""
        return phases.place_of(self.found, self.image["reference"])

    def shadow(self) -> None:
        """Every request mirrored to it; where nothing is live, the main place."""
        self._put("shadow", phases.shadow(self.live, self.wanted) if self.live else self.wanted)

    def compare(self) -> None:
        """Judged beside the live version; where there is none, alone."""
        started = time.monotonic()
        if self.place is Place.MAIN:
            self._judge("first deployment", manifest.MAIN_PREDICTOR, 100, started)
        else:
            self._judge("shadow", phases.CANDIDATE, None, started)

    def canary(self, weight: int) -> None:
        """It answers `weight` percent, and is judged again; where nothing else is live, it answers all already."""
        if self.place is Place.MAIN:
            return
        assert self.live is not None
        started = time.monotonic()
        self._put(f"canary {weight} %", phases.canary(self.live, self.wanted, weight))
        self._judge(f"canary {weight} %", phases.CANDIDATE, weight, started)

    def promote(self) -> None:
        """It becomes the main predictor, and the only one."""
        self._say("promotion")
        self.console.print(access.apply(self.wanted))
        apply.apply(self.objects, self.wanted, self.seconds)
        apply.confirm(self.image, self.namespace, 60)

    def note(self) -> None:
        """Write into the history that it is live."""
        history.add(self.namespace, history.Entry.of("release", self.image))

    def back(self, reason: str) -> None:
        """Bring back what was live before, and note the refusal."""
        self._say("back to what was live")
        if self.live is None:
            kubectl.run("delete", "seldondeployment", manifest.NAME, "-n", self.namespace, "--ignore-not-found")
        else:
            apply.apply(self.objects, phases.alone(self.live), self.seconds)
        history.add(self.namespace, history.Entry.of("release", self.image, history.REFUSED, reason))

    def report(self, outcome: str) -> None:
        """Write the report and say where it lies."""
        path = verdict.write(self.image, self.before, self.done, self.limits, outcome)
        self.console.print(f"{outcome}\nreport: {path}", markup=False)

    def _put(self, name: str, seldon: manifest.Manifest) -> None:
        self._say(name)
        apply.apply(self.objects, seldon, self.seconds)
        self.found = seldon

    def _judge(self, name: str, predictor: str, weight: int | None, started: float) -> None:
        with pods.reachable(self.namespace) as reached:
            evidence = self._measure(reached, predictor, weight)
        phase = verdict.Phase(name, time.monotonic() - started, judge(evidence, self.limits))
        self.done.append(phase)
        verdict.show(self.console, phase)
        if phase.refusals:
            raise Refused(f"refused in phase {name}: {'; '.join(phase.refusals)}")

    def _measure(self, reached: pods.Pods, predictor: str, weight: int | None) -> Evidence:
        if weight:
            self._wait_for_the_weight(weight)
        else:
            self._wait_for_copies(reached, predictor)
        images, main = self.chosen.images, manifest.MAIN_PREDICTOR
        if weight:
            answered, counters = traffic.through_ingress(self.base, images), None
        else:
            answered, counters = self._mirrored(reached, predictor)
        both = list(dict.fromkeys((main, predictor)))
        given = traffic.direct(reached, both, images)
        old = given[main] if predictor != main else None
        live = self.before["model_version"] if self.before else None
        return Evidence(self.chosen.labels, (live, self.version), answered, given[predictor], old, weight, counters)

    def _mirrored(
        self, reached: pods.Pods, predictor: str
    ) -> tuple[list[traffic.Answer], tuple[traffic.Counters, traffic.Counters]]:
        """Answers through the ingress, and what shadow and live version counted meanwhile.

        The shadow is given a moment to finish: nobody waits for a mirrored request.
        """
        before = [traffic.counted(reached, name) for name in (predictor, manifest.MAIN_PREDICTOR)]
        answered = traffic.through_ingress(self.base, self.chosen.images)
        live = traffic.counted(reached, manifest.MAIN_PREDICTOR).since(before[1])
        deadline = time.monotonic() + _MIRROR_SECONDS
        while True:
            shadow = traffic.counted(reached, predictor).since(before[0])
            if shadow.received >= live.received or time.monotonic() > deadline:
                return answered, (shadow, live)
            time.sleep(_POLL)

    def _wait_for_the_weight(self, weight: int) -> None:
        """Until the ingress shares the requests out as asked, by the test that `judge` has for it.

        A failed answer is held to be the canary's, whose callers should not wait for the verdict; a first version has
        none, and the ingress itself fails until it has the route.
        """
        if self.before and self.before["model_version"] == self.version:
            return

        def check() -> str | None:
            given = traffic.through_ingress(self.base, self.chosen.images)
            failed = sum(each.label == traffic.FAILED for each in given) if weight < 100 else 0
            mine = sum(each.version == self.version for each in given) + failed
            fitting = fits(mine, len(given), weight)
            return None if fitting else f"the ingress to give version {self.version} {weight} % of the requests"

        self._settle("the new weights", check)

    def _wait_for_copies(self, reached: pods.Pods, predictor: str) -> None:
        """Until what goes through the ingress reaches the shadow, too."""
        before = traffic.counted(reached, predictor).received

        def check() -> str | None:
            traffic.through_ingress(self.base, self.chosen.images[:_PROBES])
            moved = traffic.counted(reached, predictor).received > before
            return None if moved else "the shadow's counters to show a copied request"

        self._settle("mirroring", check)

    def _settle(self, goal: str, check: Callable[[], str | None]) -> None:
        """Wait for the routes; what has not come by the deadline is judged as it is, which says more than the wait."""
        try:
            apply.wait_for(goal, check, _ROUTES_SECONDS)
        except DeployError as error:
            self.console.print(f"{error}; it is judged as it is", markup=False)

    def _say(self, what: str) -> None:
        self.console.print(f"[bold]{what}[/bold]: version {self.version} ({self.image['digest'][:19]})")
