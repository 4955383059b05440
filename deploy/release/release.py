"""`python -m deploy.release.release`: the image as shadow, as canary, then live (the target `make release`).

Each phase is applied, waited for, measured and judged; a refusal brings back what was live, and says why.  What is live
is the main predictor on the cluster, never this program's memory: after a kill, the same command starts over.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from rich.console import Console

from deploy.release import access, apply, history, ingress, kubectl, manifest, phases, pods, samples, traffic, verdict
from deploy.release.errors import DeployError, ReleaseError
from deploy.release.judge import Evidence, Limits, fits, judge

_MIRROR_SECONDS = 20.0
_ROUTES_SECONDS = 60.0
"""For every gateway to take new routes: neither Deployments nor the state of the SeldonDeployment tell when."""
_PROBES = 20
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
        self.console.print(access.apply(self.wanted))
        apply.apply(self.objects, self.wanted, self.seconds)
        apply.confirm(self.image, self.namespace, 60)

    def note(self) -> None:
        """Write into the history that the candidate is live."""
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


def run(release: Release, weights: list[int]) -> None:
    """All phases.  Whatever ends them early is raised again, after what was live is back."""
    if release.before and release.before["reference"] == release.image["reference"]:
        release.console.print(f"version {release.version} is live already; finishing what may be unfinished")
        release.promote()
        release.note()
        return
    steps: list[Callable[[], None]] = [release.first]
    if release.live:
        steps = [release.shadow, *(lambda weight=weight: release.canary(weight) for weight in weights)]
    try:
        for step in steps:
            step()
        release.promote()
    except BaseException as error:
        stopped = not isinstance(error, Exception)
        _give_up(release, "it was stopped" if stopped else _first_line(error) or type(error).__name__)
        raise
    try:
        release.note()
    finally:
        release.report(f"version {release.version} is live")


def standing(
    found: manifest.Manifest | None, reference: str, entries: Sequence[history.Entry], template: manifest.Manifest
) -> manifest.Manifest | None:
    """What a candidate is compared with, and what a refusal brings back: what is `found` in the main place.

    A candidate that stands there itself without having got to the end was left by a killed run: then it is the version
    that was live before, and None where there was none.
    """
    if found is None or phases.image_of(found)["reference"] != reference or history.was_live(entries, reference):
        return found
    before = history.previous(entries, reference, None)
    return manifest.render(template, before.as_image()) if before else None


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
    signal.signal(signal.SIGTERM, _terminate)
    try:
        weights = phases.steps(arguments.canary_steps)
        image, objects = manifest.read_image(), manifest.read_overlay()
        template = manifest.seldon_of(objects)
        namespace = manifest.namespace_of(template)
        found = kubectl.find_object("seldondeployment", manifest.NAME, "-n", namespace)
        if found and phases.unfinished(found):
            console.print("an unfinished release stands there; this one takes its place")
        live = standing(found, image["reference"], history.read(namespace), template)
        chosen = samples.choose(samples.read(arguments.source), arguments.images)
        run(Release(image, objects, live, chosen, arguments.timeout, console), weights)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("release: stopped; make release starts over", file=sys.stderr)
        return 130
    return 0


def _give_up(release: Release, reason: str) -> None:
    """Bring back what was live and report, also where that fails."""
    outcome = f"version {release.version} was not released: {reason}"
    try:
        release.back(reason)
        outcome = f"version {release.version} was not released; {_live_again(release)}"
    except ReleaseError as error:
        outcome += f". Going back failed, make rollback does it: {_first_line(error)}"
    finally:
        release.report(outcome)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _terminate(number: int, _: FrameType | None) -> None:
    """What was live comes back before the process ends; a second signal is not heard meanwhile."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _live_again(release: Release) -> str:
    return f"version {release.before['model_version']} is live" if release.before else "nothing is deployed, as before"


if __name__ == "__main__":
    sys.exit(main())
