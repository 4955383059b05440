"""The report of a release: a table in the terminal, JSON for programs, Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.release import files
from deploy.release.errors import ReleaseError
from deploy.release.judge import Finding, Limits

FOLDER = files.BUILD / "release"


@dataclass(frozen=True)
class Phase:
    """A phase by its name, what was found in it, and how long it took."""

    name: str
    seconds: float
    findings: Sequence[Finding]

    @property
    def refusals(self) -> list[str]:
        """Why the candidate may not go on."""
        return [finding.sentence for finding in self.findings if not finding.ok]


def show(console: Console, phase: Phase) -> None:
    """Print the findings of a phase."""
    table = Table("rule", "", "found", title=f"{phase.name} ({phase.seconds:.0f} s)", title_justify="left")
    for finding in phase.findings:
        table.add_row(finding.rule, "[green]ok[/]" if finding.ok else "[red]REFUSED[/]", finding.sentence)
    console.print(table)


def earlier(reference: str) -> list[Phase]:
    """What the report says of this image's earlier phases, which other processes may have run; none without one."""
    try:
        facts = json.loads((FOLDER / "report.json").read_text())
        if facts["candidate"]["reference"] != reference:
            return []
        return [
            Phase(each["name"], each["seconds"], [Finding(**finding) for finding in each["findings"]])
            for each in facts["phases"]
        ]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"{FOLDER / 'report.json'} is damaged ({error!r}); delete it") from error


def write(
    image: Mapping[str, Any], live: Mapping[str, Any] | None, phases: Sequence[Phase], limits: Limits, outcome: str
) -> Path:
    """Write `report.json` and `report.md`; returns the latter's path."""
    facts = {
        "outcome": outcome,
        "candidate": dict(image),
        "live": live and dict(live),
        "limits": asdict(limits),
        "phases": [asdict(phase) for phase in phases],
    }
    files.write_json(FOLDER / "report.json", facts)
    before = f"version {live['model_version']} (`{live['reference']}`)" if live else "nothing"
    lines = [
        f"# Release of version {image['model_version']}: {outcome}",
        f"Image `{image['reference']}`, checkpoint `{image['checkpoint_uuid']}`. Live before: {before}.",
    ]
    for phase in phases:
        rows = [f"| {f.rule} | {'ok' if f.ok else '**refused**'} | {_cell(f.sentence)} |" for f in phase.findings]
        lines += [f"## {phase.name} ({phase.seconds:.0f} s)", "\n".join(["| rule | | found |", "|---|---|---|", *rows])]
    files.write(FOLDER / "report.md", "\n\n".join(lines) + "\n")
    return FOLDER / "report.md"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
