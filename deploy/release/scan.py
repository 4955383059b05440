"""`python -m deploy.release.scan`: known vulnerabilities and the bill of materials of what is served (`make scan`).

pip-audit asks the database; a package that it could not look up counts as not scanned, never as clean.  Findings that
nothing can be done about are accepted in deploy/accepted-findings.yaml, each until a date.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from deploy.release import files
from deploy.release.errors import ScanError

FOLDER = files.BUILD / "scan"
LOCK = files.REPOSITORY / "requirements" / "serving.txt"
ACCEPTED = files.REPOSITORY / "deploy" / "accepted-findings.yaml"
ENVIRONMENT = files.REPOSITORY / ".venv-serving"
TOOLS = files.REPOSITORY / "build" / "ci" / "bin"
_SECONDS = 300


class Outcome(StrEnum):
    """What a scan comes to, the worst first."""

    REFUSED = "refused"
    NOT_SCANNED = "not scanned"
    PASSED = "passed"


@dataclass(frozen=True)
class Accepted:
    """A finding that may stay until `review`: why it is there, and what keeps it from doing harm."""

    id: str
    package: str
    reason: str
    mitigation: str
    review: date


@dataclass(frozen=True)
class Result:
    """The outcome with its sentences; `notes` decide nothing."""

    outcome: Outcome
    sentences: Sequence[str]
    notes: Sequence[str] = ()


def read_accepted(path: Path = ACCEPTED) -> list[Accepted]:
    """The list of accepted findings.  Raises ScanError."""
    try:
        entries = [Accepted(**each) for each in yaml.safe_load(path.read_text())]
    except (OSError, TypeError, yaml.YAMLError) as error:
        raise ScanError(f"{path} is not a list of accepted findings ({error})") from error
    for each in entries:
        # A date with a time is a date too, but cannot be compared with today's.
        if type(each.review) is not date or not all((each.id, each.package, each.reason, each.mitigation)):
            raise ScanError(f"{path}: {each.id} needs a package, a reason, a mitigation and a date for its review")
    return entries


def audit(lock: Path = LOCK) -> dict[str, Any]:
    """pip-audit's report of a lock, `dependencies` None with a `problem` where there is none.  Raises ScanError."""
    options = ("--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "30")
    done = _run("pip-audit", "-r", str(lock), *options)
    try:
        return {"dependencies": json.loads(done.stdout)["dependencies"], "problem": None}
    except (ValueError, KeyError):
        lines = done.stderr.strip().splitlines()
        return {"dependencies": None, "problem": lines[-1] if lines else f"pip-audit ended with {done.returncode}"}


def judge(report: Mapping[str, Any], accepted: Sequence[Accepted], today: date) -> Result:
    """Refused for any finding that is not accepted today; not scanned where a package could not be looked up."""
    if report["dependencies"] is None:
        return Result(Outcome.NOT_SCANNED, [f"the database did not answer: {report['problem']}"])
    refusals, used = [], set()
    for package in report["dependencies"]:
        for finding in package.get("vulns", []):
            names = {finding["id"], *finding.get("aliases", [])}
            entry = next((each for each in accepted if each.package == package["name"] and each.id in names), None)
            if entry is None:
                refusals.append(f"{_finding(package, finding)} is not accepted")
            elif entry.review < today:
                refusals.append(f"{_finding(package, finding)} was accepted until {entry.review}: review it")
            used |= {entry} if entry else set()
    skipped = [each["name"] for each in report["dependencies"] if "skip_reason" in each]
    notes = (
        [] if skipped else [f"{each.package}: {each.id} is not found any more" for each in accepted if each not in used]
    )
    if refusals:
        return Result(Outcome.REFUSED, refusals, notes)
    if skipped:
        count = len(report["dependencies"])
        return Result(
            Outcome.NOT_SCANNED, [f"the database does not know {len(skipped)} of {count}: {', '.join(skipped)}"]
        )
    return Result(Outcome.PASSED, [f"{len(report['dependencies'])} packages, {len(used)} accepted findings"], notes)


def bill_of_materials(target: Path) -> None:
    """Write what the serving environment holds, as CycloneDX.  Raises ScanError."""
    done = _run(
        "syft",
        "scan",
        f"dir:{ENVIRONMENT}",
        "--source-name",
        "fashion-classifier",
        "-q",
        "-o",
        f"cyclonedx-json={target}",
    )
    if done.returncode != 0:
        raise ScanError(f"syft could not list {ENVIRONMENT}: {done.stderr.strip()[-500:]}")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 where something is refused, or could not be scanned and had to be."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release.scan", description=__doc__)
    without = os.environ.get("SCAN_WITHOUT_DATABASE") or "fail"
    parser.add_argument("--without-database", default=without, choices=("fail", "warn"), help="default: %(default)s")
    arguments = parser.parse_args(argv)
    try:
        accepted = read_accepted()
        FOLDER.mkdir(parents=True, exist_ok=True)
        bill_of_materials(FOLDER / "sbom.cdx.json")
        report = audit()
    except ScanError as error:
        print(f"scan: {error}", file=sys.stderr)
        return 1
    result = judge(report, accepted, datetime.now(UTC).date())
    files.write_json(FOLDER / "report.json", {**asdict(result), "lock": LOCK.name, **report})
    files.write(FOLDER / "report.md", page(result, accepted))
    print(
        f"{result.outcome}: {'; '.join(result.sentences)}", *result.notes, f"report: {FOLDER / 'report.md'}", sep="\n"
    )
    if result.outcome is Outcome.NOT_SCANNED:
        if arguments.without_database == "warn":
            return 0
        print("SCAN_WITHOUT_DATABASE=warn lets a pipeline go on unscanned")
    return 0 if result.outcome is Outcome.PASSED else 1


def page(result: Result, accepted: Sequence[Accepted]) -> str:
    """The report for people, as Markdown."""
    rows = [f"| {each.package} | {each.id} | {each.reason} | {each.mitigation} | {each.review} |" for each in accepted]
    lines = [f"# Vulnerabilities of what is served: {result.outcome}", *(f"- {each}" for each in result.sentences)]
    lines += [f"- {each}" for each in result.notes]
    lines += [
        "",
        "## Accepted",
        "",
        "| package | finding | reason | mitigation | review |",
        "|---|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def _finding(package: Mapping[str, Any], finding: Mapping[str, Any]) -> str:
    aliases = ", ".join(finding.get("aliases", []))
    fixed = ", ".join(finding.get("fix_versions", [])) or "no version"
    return f"{package['name']} {package['version']}: {finding['id']} ({aliases}; fixed in {fixed})"


def _run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    try:
        return subprocess.run(
            [str(TOOLS / tool), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ScanError(f"{tool} cannot be run ({error}); make scan installs it into {TOOLS.parent}") from error


if __name__ == "__main__":
    sys.exit(main())
