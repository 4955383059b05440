"""`python -m deploy.release.release [PHASE …]`: the image as shadow, as canary, then live (the target `make rollout`).

Each phase is applied, waited for, measured and judged; a refusal brings back what was live, and says why.  What is live
is the main predictor on the cluster, never this program's memory: after a kill, the same command starts over, and a
pipeline may give each phase to a job of its own.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType

from rich.console import Console

from deploy.release import history, kubectl, manifest, phases, samples, verdict
from deploy.release.candidate import Candidate
from deploy.release.errors import ReleaseError
from deploy.release.phases import Place

PHASES = ("shadow", "compare", "canary", "promote")
BACK = "back"
_BEFORE = {
    "compare": (Place.SHADOW, Place.MAIN),
    "canary": (Place.SHADOW, Place.CANARY, Place.MAIN),
    "promote": (Place.CANARY, Place.MAIN),
}
"""Where a candidate has to stand for a phase; a shadow may begin anywhere."""
_STANDS = {
    "shadow": "stands beside what is live",
    "compare": "may go on to its canary",
    "canary": "may be promoted",
}


def run(candidate: Candidate, weights: list[int], wanted: Sequence[str] = PHASES) -> None:
    """These phases.  Whatever ends them early is raised again, after what was live is back.

    Raises ReleaseError, with nothing changed, where the candidate does not stand where the first of them begins.
    """
    if candidate.before and candidate.before["reference"] == candidate.image["reference"]:
        candidate.console.print(f"version {candidate.version} is live already; finishing what may be unfinished")
        if "promote" in wanted:
            candidate.promote()
            candidate.note()
        return
    first = wanted[0]
    if first in _BEFORE and candidate.place not in _BEFORE[first]:
        raise ReleaseError(
            f"version {candidate.version} is not on the cluster as {first} needs it ({candidate.place}): it was given "
            "up, or another release took its place; PHASES=shadow begins anew"
        )
    steps: dict[str, list[Callable[[], None]]] = {
        "shadow": [candidate.shadow],
        "compare": [candidate.compare],
        "canary": [partial(candidate.canary, weight) for weight in weights],
        "promote": [candidate.promote],
    }
    try:
        for phase in wanted:
            for step in steps[phase]:
                step()
    except BaseException as error:
        stopped = not isinstance(error, Exception)
        _give_up(candidate, "it was stopped" if stopped else _first_line(error) or type(error).__name__)
        raise
    last = wanted[-1]
    if last != "promote":
        candidate.report(f"version {candidate.version} {_STANDS[last]}")
        return
    try:
        candidate.note()
    finally:
        candidate.report(f"version {candidate.version} is live")


def back(candidate: Candidate) -> None:
    """Give the candidate up where it is on its way; nothing else is touched."""
    on_its_way = candidate.place is not Place.ABSENT
    is_live = candidate.before is not None and candidate.before["reference"] == candidate.image["reference"]
    if is_live or not on_its_way:
        candidate.console.print(f"version {candidate.version} is not on its way: nothing to give up")
    else:
        _give_up(candidate, "it was given up", must=True)


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


def chosen_phases(words: Sequence[str]) -> list[str]:
    """The phases that were asked for: all where none was, or some that follow each other, or `back`.

    Raises ReleaseError.
    """
    wanted = list(words) or list(PHASES)
    first = PHASES.index(wanted[0]) if wanted[0] in PHASES else 0
    if wanted != [BACK] and wanted != list(PHASES[first : first + len(wanted)]):
        raise ReleaseError(f"PHASES={' '.join(wanted)!r} is not a part of {' '.join(PHASES)!r}, nor {BACK} alone")
    return wanted


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 where the image was not released."""
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        wanted = chosen_phases(arguments.phases)
        weights = phases.steps(arguments.canary_steps)
        image, objects = manifest.read_image(), manifest.read_overlay()
        template = manifest.seldon_of(objects)
        namespace = manifest.namespace_of(template)
        found = kubectl.find_object("seldondeployment", manifest.NAME, "-n", namespace)
        live = standing(found, image["reference"], history.read(namespace), template)
        if found and phases.unfinished(found) and wanted[0] == "shadow":
            console.print("an unfinished release stands there; this one takes its place")
        measured = samples.NOTHING
        if wanted != [BACK]:
            measured = samples.choose(samples.read(arguments.source), arguments.images)
        candidate = Candidate(image, objects, found, live, measured, arguments.timeout, console)
        if wanted[0] != "shadow":
            candidate.done = verdict.earlier(image["reference"])
        if wanted == [BACK]:
            back(candidate)
        else:
            run(candidate, weights, wanted)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("release: stopped; make release starts over", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.release.release", description=__doc__)
    parser.add_argument(
        "phases",
        nargs="*",
        metavar="PHASE",
        help=f"{', '.join(PHASES)} (default: all, in turn), or {BACK}: give up what is on its way",
    )
    steps = os.environ.get("CANARY_STEPS") or "10 50"
    parser.add_argument("--canary-steps", default=steps, help="percentages in turn (default: %(default)s)")
    parser.add_argument("--images", type=_positive, default=500, help="labelled images a phase (default: %(default)s)")
    source = os.environ.get("TEST_DATA") or samples.SOURCE
    parser.add_argument("--source", default=source, help="repo@branch-or-commit (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for each rollout (default: %(default)s)")
    return parser


def _positive(text: str) -> int:
    """A number of images: of none there is nothing to judge.  Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _give_up(candidate: Candidate, reason: str, must: bool = False) -> None:
    """Bring back what was live and report, also where that fails; `must` raises that failure."""
    outcome = f"version {candidate.version} was not released: {reason}"
    try:
        candidate.back(reason)
        outcome = f"version {candidate.version} was not released; {_live_again(candidate)}"
    except ReleaseError as error:
        outcome += f". Going back failed, make rollback does it: {_first_line(error)}"
        if must:
            raise
    finally:
        candidate.report(outcome)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _terminate(number: int, _: FrameType | None) -> None:
    """What was live comes back before the process ends; a second signal is not heard meanwhile."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _live_again(candidate: Candidate) -> str:
    return (
        f"version {candidate.before['model_version']} is live" if candidate.before else "nothing is deployed, as before"
    )


if __name__ == "__main__":
    sys.exit(main())
