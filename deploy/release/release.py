"""`python -m deploy.release.release`: the image as shadow, as canary, then live (the target `make release`).

Each phase is applied, waited for, measured and judged; a refusal brings back what was live, and says why.  What is live
is the main predictor on the cluster, never this program's memory: after a kill, the same command starts over, or
finishes a promotion that had begun.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from deploy.release import access, apply, history, ingress, kubectl, manifest, phases, pods, samples, traffic, verdict
from deploy.release.errors import DeployError, ReleaseError
from deploy.release.judge import Evidence, Limits, judge

_MIRROR_SECONDS = 20.0
_SPLIT_SECONDS = 20.0
_POLL = 0.5


class Refused(ReleaseError):
    """The candidate may not go on; the message says in which phase and why."""


@dataclass
class Release:
    """One candidate on its way: what it is, what is live, and what has been found so far."""

    image: dict[str, Any]
    objects: list[manifest.Manifest]
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
        self.base = ingress.base_url(self.namespace)

    @property
    def before(self) -> dict[str, Any] | None:
        """The live image."""
        return phases.image_of(self.live) if self.live else None

    def shadow(self) -> None:
        """Every request mirrored to the candidate."""
        assert self.live is not None
        self._phase("shadow", phases.shadow(self.live, self.wanted), phases.CANDIDATE, None)

    def canary(self, weight: int) -> None:
        """The candidate answers `weight` percent."""
        assert self.live is not None
        self._phase(f"canary {weight} %", phases.canary(self.live, self.wanted, weight), phases.CANDIDATE, weight)

    def first(self) -> None:
        """Nothing is live: the candidate is judged in the main place, without a comparison."""
        self._phase("first deployment", self.wanted, manifest.MAIN_PREDICTOR, 100)

    def promote(self) -> None:
        """The candidate becomes the main predictor, and the only one."""
        self._say("promotion")
        apply.apply(self.objects, self.wanted, self.seconds)
        self.console.print(access.apply(self.wanted))
        apply.confirm(self.image, self.namespace, 60)
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
        self.console.print(f"{outcome}\nreport: {path}")

    def _phase(self, name: str, seldon: manifest.Manifest, predictor: str, weight: int | None) -> None:
        self._say(name)
        started = time.monotonic()
        apply.apply(self.objects, seldon, self.seconds)
        with pods.reachable(self.namespace) as reached:
            evidence = self._measure(reached, predictor, weight)
        phase = verdict.Phase(name, time.monotonic() - started, judge(evidence, self.limits))
        self.done.append(phase)
        verdict.show(self.console, phase)
        if phase.refusals:
            raise Refused(f"refused in phase {name}: {'; '.join(phase.refusals)}")

    def _measure(self, reached: pods.Pods, predictor: str, weight: int | None) -> Evidence:
        if weight:
            self._wait_for_a_share()
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
            if shadow.images >= live.images or time.monotonic() > deadline:
                return answered, (shadow, live)
            time.sleep(_POLL)

    def _wait_for_a_share(self) -> None:
        """Until the ingress has taken the weights: the candidate's version answers."""
        image = self.chosen.images[:1]

        def check() -> str | None:
            seen = {each.version for each in traffic.through_ingress(self.base, image.repeat(4, axis=0))}
            return None if self.version in seen else f"the first answer of version {self.version} through the ingress"

        # A version that never answers is judged, not waited for: the errors say more than the wait would.
        with suppress(DeployError):
            apply.wait_for("the new weights", check, _SPLIT_SECONDS)

    def _say(self, what: str) -> None:
        self.console.print(f"[bold]{what}[/bold]: version {self.version} ({self.image['digest'][:19]})")


def run(release: Release, weights: list[int]) -> None:
    """All phases.  Raises ReleaseError when the candidate did not get through; what was live is then back."""
    if release.before and release.before["reference"] == release.image["reference"]:
        release.console.print(f"version {release.version} is live already; finishing what may be unfinished")
        release.promote()
        return
    steps: list[Callable[[], None]] = [release.first]
    if release.live:
        steps = [release.shadow, *(lambda weight=weight: release.canary(weight) for weight in weights)]
    try:
        for step in steps:
            step()
        release.promote()
    except ReleaseError as error:
        release.back(str(error).splitlines()[0])
        release.report(f"version {release.version} was not released; {_live_again(release)}")
        raise
    release.report(f"version {release.version} is live")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 where the image was not released."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release.release", description=__doc__)
    steps = os.environ.get("CANARY_STEPS") or "10 50"
    parser.add_argument("--canary-steps", default=steps, help="percentages in turn (default: %(default)s)")
    parser.add_argument("--images", type=int, default=500, help="labelled images a phase (default: %(default)s)")
    parser.add_argument("--source", default=samples.SOURCE, help="repo@branch-or-commit (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for each rollout (default: %(default)s)")
    arguments = parser.parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        weights = phases.steps(arguments.canary_steps)
        objects = manifest.read_overlay()
        namespace = manifest.namespace_of(manifest.seldon_of(objects))
        history.read(namespace)
        live = kubectl.find_object("seldondeployment", manifest.NAME, "-n", namespace)
        if live and phases.unfinished(live):
            console.print("an unfinished release stands there; this one takes its place")
        chosen = samples.choose(samples.read(arguments.source), arguments.images)
        run(Release(manifest.read_image(), objects, live, chosen, arguments.timeout, console), weights)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("release: stopped; make release starts over, make rollback leaves what was live", file=sys.stderr)
        return 130
    return 0


def _live_again(release: Release) -> str:
    return f"version {release.before['model_version']} is live" if release.before else "nothing is deployed, as before"


if __name__ == "__main__":
    sys.exit(main())
