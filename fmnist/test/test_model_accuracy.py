"""The accuracy gate: does the registered version classify the test split well enough to be served?

`python -m pytest fmnist/test/test_model_accuracy.py --junitxml=build/report/junit.xml`, as GitLab CI runs it.
MODEL_NAME and MODEL_VERSION choose the version (default: the newest of fashion-classifier), TEST_DATA the split,
ACCURACY_THRESHOLD the floor, REPORT_DIR where the report goes.  The report is written whatever the verdict.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from data.errors import DataError
from fmnist.errors import FmnistError
from fmnist.test.gate import Outcome, Settings, run_gate


@pytest.fixture(scope="module")
def outcome(record_testsuite_property: Callable[[str, object], None], request: pytest.FixtureRequest) -> Outcome:
    """The gate run once: version resolved, verified, evaluated; report and registry written."""
    try:
        outcome = run_gate(Settings.from_environment())
    except (FmnistError, DataError) as error:
        pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)
    for name, value in outcome.properties().items():
        record_testsuite_property(name, value)
    request.config.stash[Outcome.KEY] = outcome
    return outcome


def test_answers_are_probabilities(outcome: Outcome) -> None:
    """Every answer is finite, within 0 and 1, and sums to 1."""
    probabilities = outcome.evaluation.probabilities
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert abs(probabilities.sum(axis=1) - 1).max() < 1e-5


def test_accuracy(outcome: Outcome, record_property: Callable[[str, object], None]) -> None:
    """The accuracy on the test split reaches the threshold."""
    record_property("accuracy", outcome.evaluation.accuracy)
    record_property("threshold", outcome.verdict.threshold)
    if not outcome.verdict.passed:
        pytest.fail(f"{outcome.title}: {'; '.join(outcome.verdict.reasons)}", pytrace=False)
