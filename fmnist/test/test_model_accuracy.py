"""The accuracy gate: does the registered version classify the test split well enough to be served?

`python -m pytest fmnist/test/test_model_accuracy.py --junitxml=build/report/junit.xml`, as GitLab CI runs it.
README, "Accuracy gate", has the rules and the variables that set them.  The report is written whatever the verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest

from data.errors import DataError
from fmnist import registry
from fmnist.errors import FmnistError
from fmnist.test.gate import Run, bars, run_gate
from fmnist.test.settings import Settings
from fmnist.test.verdict import Outcome, Rule


@pytest.fixture(scope="module")
def run(record_testsuite_property: Callable[[str, object], None], request: pytest.FixtureRequest) -> Run:
    """The gate run once: version resolved, verified, evaluated; report and registry written."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    try:
        settings = Settings.from_environment()
        uncaptured = capture.global_and_fixture_disabled() if capture else nullcontext()
        with uncaptured, bars() as progress, registry.answering():
            run = run_gate(settings, progress)
    except (FmnistError, DataError) as error:
        raise pytest.fail.Exception(f"{type(error).__name__}: {error}", pytrace=False) from None
    for name, value in run.properties().items():
        record_testsuite_property(name, value)
    request.config.stash[Run.KEY] = run
    return run


@pytest.mark.parametrize("rule", [Rule.ACCURACY, Rule.CLASSES, Rule.PRODUCTION])
def test_rule(run: Run, rule: Rule) -> None:
    """The accuracy reaches the threshold; no class is below its floor; it is not worse than what is in production.

    Skipped where there is nothing to compare with.
    """
    findings = run.verdict.of(rule)
    sentences = "; ".join(finding.sentence for finding in findings if finding.outcome is Outcome.FAILED)
    if sentences:
        pytest.fail(f"{run.title}: {sentences}", pytrace=False)
    if not any(finding.outcome is Outcome.PASSED for finding in findings):
        pytest.skip("; ".join(finding.sentence for finding in findings))
