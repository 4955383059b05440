"""What fmnist-train and fmnist-test do: raw files in, a validated split and its reports out, or a refusal."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from data.catalog import Split as SplitFiles
from pipelines import checks, raw_page
from pipelines.errors import InputRefused
from pipelines.files import write_json
from pipelines.pfs import Pfs
from pipelines.settings import Settings
from pipelines.split import PASSED, REPORT, describe, write_arrays
from pipelines.validation import Findings, validate

LISTED = 100
"""Groups of duplicates that a report lists; it counts all."""


def run(name: str, files: SplitFiles, pfs: Pfs) -> None:
    """Validate `files` of the one repo that the spec names, so that another data set needs another spec only.

    Raises InputRefused with every reason, after printing all checks, if one of them does not hold.
    """
    settings = Settings.from_variables(pfs.variables)
    name, repo = pfs.pipeline(name), pfs.only_input()
    folder = pfs.input(repo)
    contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    found = validate(contents, files, settings)
    if found.failed:
        print(checks.table(found.checks), file=sys.stderr)
        reasons = "; ".join(check.reason for check in found.failed)
        raise InputRefused(f"{repo} refused, {len(found.failed)} of {len(found.checks)} checks failed: {reasons}")
    assert found.images is not None
    assert found.labels is not None
    outputs = write_arrays(pfs.out, found.images, found.labels)
    inputs = {file.name: describe(contents[file.name]) for file in files.files}
    report = document(name, pfs, repo, settings, found) | {"inputs": inputs, "outputs": outputs}
    raw_page.write(pfs.out / "report.html", report, found)
    write_json(pfs.out / REPORT, report)
    print(checks.table(found.checks))
    print(f"{name}: {len(found.images)} images passed {len(found.checks)} checks")


def document(name: str, pfs: Pfs, repo: str, settings: Settings, found: Findings) -> dict[str, Any]:
    """The machine-readable report of an accepted split.

    It holds no time and no duration: the same input gives the same output commit, to the byte, and a pipeline behind
    this one is not run again for nothing.
    """
    assert found.statistics is not None
    return {
        "format_version": 1,
        "pipeline": name,
        "verdict": PASSED,
        "source": {"repo": repo, "commit": pfs.commit(repo)},
        "code": pfs.variables.get("PIPELINES_VERSION"),
        "class_names": list(settings.class_names),
        "images": sum(found.counts),
        "class_counts": found.counts,
        "pixels": asdict(found.statistics),
        "class_pixels": [asdict(statistics) if statistics else None for statistics in found.class_statistics],
        "duplicates": {
            "images": sum(len(group) - 1 for group in found.duplicates),
            "groups": len(found.duplicates),
            "positions": found.duplicates[:LISTED],
        },
        "checks": [check.document() for check in found.checks],
    }
