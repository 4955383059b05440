"""Trials: description, workloads, streams of metrics."""

from __future__ import annotations

import json

import pytest
from determined.common.api import bindings
from determined.experimental import client

from tests.contract.determined.target import Target


@pytest.mark.slow
def test_describe_with_metrics(target: Target, trial: client.Trial) -> None:
    shown = json.loads(target.det("trial", "describe", "--metrics", "--json", str(trial.id)))
    assert shown["trial"]["summaryMetrics"]["validation_metrics"]["accuracy"]["max"] == 0.2
    workloads = [(kind, content) for each in shown["workloads"] for kind, content in each.items() if content]
    assert sorted(kind for kind, _ in workloads) == ["checkpoint"] * 2 + ["training"] * 2 + ["validation"] * 2
    assert [content["totalBatches"] for _, content in workloads] == [1, 1, 1, 2, 2, 2]
    assert "accuracy" in target.det("trial", "describe", "--metrics", str(trial.id))
    assert "loss" in target.det("trial", "describe", "--metrics-summary", str(trial.id))


def test_what_the_api_tells_of_a_trial(target: Target, experiment: client.Experiment, trial: client.Trial) -> None:
    found = bindings.get_GetTrial(target.session, trialId=trial.id).trial
    assert found.experimentId == experiment.id
    assert (found.hparams, found.restarts, found.totalBatchesProcessed) == ({"steps": 2}, 0, 2)
    assert (found.searcherMetricValue, found.checkpointCount) == (0.2, 2)
    assert found.bestValidation.metrics.avgMetrics["accuracy"] == 0.2
    assert found.metadata == {"a": {"c": [3]}}
    assert found.latestValidation.totalBatches == found.bestCheckpoint.totalBatches == 2


def test_metrics_stream_by_group(target: Target, trial: client.Trial) -> None:
    assert [m.metrics["accuracy"] for m in trial.iter_metrics("validation")] == [0.1, 0.2]
    assert [m.metrics["loss"] for m in trial.iter_metrics("training")] == [1.0, 0.5]
    assert [(m.steps_completed, m.metrics["latency"]) for m in trial.iter_metrics("inference")] == [(1, 1), (2, 2)]
    assert list(trial.iter_metrics("nothing")) == []
    assert [m.metrics["loss"] for m in target.sdk.stream_trials_training_metrics([trial.id])] == [1.0, 0.5]
    assert [m.metrics["accuracy"] for m in target.sdk.stream_trials_validation_metrics([trial.id])] == [0.1, 0.2]
    both = list(target.sdk.iter_trials_metrics([trial.id], "training"))
    assert {m.trial_id for m in both} == {trial.id}
