"""What a scan comes to: accepted, unknown, overdue and unscanned findings."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from deploy.release import scan
from deploy.release.errors import ScanError
from deploy.release.scan import Accepted, Outcome, judge, read_accepted

TODAY = date(2026, 11, 22)
ENTRY = Accepted("CVE-1", "flask", "pinned", "a proxy in front", date(2027, 1, 1))
FINDING = {"id": "PYSEC-9", "aliases": ["CVE-1"], "fix_versions": ["3.0"]}


def report(*findings: dict[str, Any], skipped: bool = False) -> dict[str, Any]:
    packages: list[dict[str, Any]] = [{"name": "flask", "version": "2.2.5", "vulns": list(findings)}]
    if skipped:
        packages.append({"name": "numpy", "skip_reason": "could not be audited"})
    return {"dependencies": packages, "problem": None}


def test_an_accepted_finding_passes_by_any_of_its_names() -> None:
    result = judge(report(FINDING), [ENTRY], TODAY)
    assert (result.outcome, result.sentences) == (Outcome.PASSED, ["1 packages, 1 accepted findings"])


def test_any_other_finding_is_refused_with_what_would_fix_it() -> None:
    result = judge(report(FINDING, {"id": "CVE-2", "aliases": [], "fix_versions": []}), [ENTRY], TODAY)
    assert result.outcome is Outcome.REFUSED
    assert result.sentences == ["flask 2.2.5: CVE-2 (; fixed in no version) is not accepted"]


def test_it_is_accepted_for_its_own_package_only() -> None:
    other = Accepted("CVE-1", "gunicorn", "pinned", "a proxy in front", date(2027, 1, 1))
    assert judge(report(FINDING), [other], TODAY).outcome is Outcome.REFUSED


def test_an_overdue_review_is_refused_the_day_after() -> None:
    assert judge(report(FINDING), [ENTRY], ENTRY.review).outcome is Outcome.PASSED
    overdue = judge(report(FINDING), [ENTRY], date(2027, 1, 2))
    assert overdue.outcome is Outcome.REFUSED
    assert "accepted until 2027-01-01: review it" in overdue.sentences[0]


def test_a_package_that_was_skipped_is_not_clean() -> None:
    result = judge(report(skipped=True), [], TODAY)
    assert result.outcome is Outcome.NOT_SCANNED
    assert result.sentences == ["the database does not know 1 of 2: numpy"]


def test_no_database_is_not_clean_either() -> None:
    result = judge({"dependencies": None, "problem": "no route to host"}, [ENTRY], TODAY)
    assert result.outcome is Outcome.NOT_SCANNED
    assert "no route to host" in result.sentences[0]


def test_a_finding_counts_although_others_were_skipped() -> None:
    assert judge(report(FINDING, skipped=True), [], TODAY).outcome is Outcome.REFUSED


def test_an_entry_that_is_needed_no_more_is_named_and_decides_nothing() -> None:
    result = judge(report(), [ENTRY], TODAY)
    assert result.outcome is Outcome.PASSED
    assert result.notes == ["flask: CVE-1 is not found any more"]


def test_the_list_of_accepted_findings_is_complete() -> None:
    entries = read_accepted()
    pins = scan.LOCK.read_text()
    assert all(f"\n{each.package}==" in pins or pins.startswith(f"{each.package}==") for each in entries)
    assert len({(each.package, each.id) for each in entries}) == len(entries)
    assert "| werkzeug | CVE-2023-46136 |" in scan.page(judge(report(), entries, TODAY), entries)


@pytest.mark.parametrize(
    "text",
    ["- {id: CVE-1}", "- {id: CVE-1, package: a, reason: b, mitigation: '', review: 2027-01-01}",
     "- {id: CVE-1, package: a, reason: b, mitigation: c, review: soon}",
     "- {id: CVE-1, package: a, reason: b, mitigation: c, review: 2027-01-01 00:00:00}", "5", "{"],
)  # fmt: skip
def test_an_incomplete_entry_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "accepted.yaml"
    path.write_text(text)
    with pytest.raises(ScanError, match=r"accepted\.yaml"):
        read_accepted(path)


@pytest.mark.parametrize(("policy", "code"), [("fail", 1), ("warn", 0)])
def test_an_unscanned_image_is_told_and_stops_unless_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], policy: str, code: int
) -> None:
    monkeypatch.setattr(scan, "FOLDER", tmp_path)
    monkeypatch.setattr(scan, "bill_of_materials", lambda target: None)
    monkeypatch.setattr(scan, "audit", lambda: {"dependencies": None, "problem": "no route to host"})
    monkeypatch.setenv("SCAN_WITHOUT_DATABASE", policy)
    assert scan.main([]) == code
    printed = capsys.readouterr().out
    assert printed.startswith("not scanned: the database did not answer")
    assert ("SCAN_WITHOUT_DATABASE=warn" in printed) is (code == 1)
    assert "# Vulnerabilities of what is served: not scanned" in (tmp_path / "report.md").read_text()
