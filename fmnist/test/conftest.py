"""Prints the gate's verdict, which pytest would keep to itself when all is well."""

from __future__ import annotations

import pytest

from fmnist.test.gate import Outcome


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why the gate passed or failed, and where the report lies."""
    outcome = config.stash.get(Outcome.KEY, None)
    if outcome is None:
        return
    terminalreporter.section("accuracy gate")
    terminalreporter.line(f"{outcome.title}: {'passed' if outcome.verdict.passed else 'FAILED'}")
    for reason in outcome.verdict.reasons:
        terminalreporter.line(f"  {reason}")
    weakest = min(outcome.evaluation.classes, key=lambda result: result.f1)
    terminalreporter.line(f"  weakest class: {weakest.name}, F1 {weakest.f1:.4f}, recall {weakest.recall:.4f}")
    unseen = outcome.document["results"]["without_near_duplicates"]
    if unseen["known"]:
        words = f"{unseen['accuracy']:.4f} without the {unseen['left_out']} that have one"
    else:
        words = f"unknown ({unseen['reason']})"
    terminalreporter.line(f"  test images with a near-duplicate in train: {words}")
    terminalreporter.line(f"  report: {outcome.report_folder / 'report.html'}")
