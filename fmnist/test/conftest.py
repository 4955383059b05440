"""Prints the gate's verdict, which pytest would keep to itself when all is well."""

from __future__ import annotations

import pytest

from fmnist.test.gate import Run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why the gate passed or failed, sentence by sentence, and where the report lies."""
    run = config.stash.get(Run.KEY, None)
    if run is None:
        return
    terminalreporter.section("accuracy gate")
    for finding in run.verdict.findings:
        terminalreporter.line(f"  {finding.outcome:<8}{finding.sentence}")
    results = run.document["results"]
    unseen, worst = results["without_near_duplicates"], min(results["robustness"]["results"], key=_accuracy)
    if unseen["known"]:
        words = f"{unseen['accuracy']:.4f} without the {unseen['left_out']} that have one"
    else:
        words = f"unknown ({unseen['reason']})"
    terminalreporter.line(f"  test images with a near-duplicate in train: {words}")
    terminalreporter.line(
        f"  worst disturbance: {worst['kind']} {worst['strength']:g}, accuracy {worst['accuracy']:.4f} "
        f"({results['robustness']['accuracy_undisturbed']:.4f} undisturbed)"
    )
    speed = results["latency"]
    terminalreporter.line(
        f"  model.tflite: {speed['bytes'] / 1e6:.2f} MB, {speed['parameters']:,} parameters, "
        f"{speed['single_median_ms']:.2f} ms an image (99 %: {speed['single_p99_ms']:.2f} ms), {speed['hardware']}"
    )
    terminalreporter.line(f"  report: {run.report_folder / 'report.html'}")
    terminalreporter.line(f"{run.title}: {'passed' if run.verdict.passed else 'FAILED'}")


def _accuracy(result: dict[str, float]) -> float:
    return result["accuracy"]
