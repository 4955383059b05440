"""One run of the accuracy gate: from the registered version and the test split to verdict, report and registry."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from determined.experimental import Determined
from determined.experimental.client import Checkpoint, ModelVersion
from pachyderm_sdk import Client
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from data import ingest, validated
from data.validated import ValidatedSplit
from fmnist import registry
from fmnist.errors import FmnistError, RegistryError
from fmnist.test import (
    feedback,
    handover,
    incumbent,
    latency,
    leakage,
    origin,
    page,
    report,
    robustness,
    serving,
    splits,
    versions,
)
from fmnist.test.evaluation import Evaluation
from fmnist.test.report import Findings, RegisteredVersion
from fmnist.test.settings import Settings
from fmnist.test.verdict import Verdict, decide


@dataclass(frozen=True)
class Run:
    """What a run of the gate found."""

    KEY: ClassVar[pytest.StashKey[Run]] = pytest.StashKey()

    document: dict[str, Any]
    evaluation: Evaluation
    verdict: Verdict
    report_folder: Path

    @property
    def title(self) -> str:
        """Model and version."""
        return f"{self.document['model']['name']} version {self.document['model']['version']}"

    def properties(self) -> dict[str, object]:
        """What the JUnit file says beside the tests."""
        model, data, results = (self.document[part] for part in ("model", "data_test", "results"))
        return {
            "model": model["name"],
            "model_version": model["version"],
            "checkpoint_uuid": model["checkpoint_uuid"],
            "test_data": f"{data['repo']}@{data['commit']}",
            "git_commit_trained": self.document["origin"]["trained"],
            "git_commit_pipeline": self.document["origin"]["pipeline"],
            "accuracy": self.evaluation.accuracy,
            "calibration_error": self.evaluation.calibration_error,
            "version_in_production": results["production"]["version"],
            "difference_to_production": results["production"].get("difference"),
            **{f"recall {result.name}": result.recall for result in self.evaluation.classes},
        }


def bars() -> Progress:
    """How far a run is: bars on a terminal, a line a part elsewhere."""
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


def run_gate(settings: Settings, progress: Progress | None = None) -> Run:
    """Evaluate the registered version; writes the report and the version's metadata.  Raises FmnistError, DataError."""
    started = time.monotonic()
    for name in (*page.WRITTEN, handover.VARIABLES, handover.METRICS):
        # An earlier run's, which would stand for this one where it breaks down.
        (settings.report_folder / name).unlink(missing_ok=True)
    client = registry.connect()
    version = registry.resolve_version(client, settings.model_name, settings.model_version)
    found = _measured(settings, client, version, progress or bars())
    document = report.document(found, time.monotonic() - started)
    kept = report.summary(document)
    rows = versions.table(registry.versions(version.model_name), version.model_version, kept, found.incumbent)
    document["versions"] = [asdict(row) for row in rows]
    page.write(settings.report_folder, document, found)
    # After the report, so that the registry has no verdict of a gate that broke down.
    registry.merge_metadata(version, {"gate": kept})
    handover.write(settings.report_folder, document)
    return Run(document, found.evaluation, found.verdict, settings.report_folder)


def _measured(settings: Settings, client: Determined, version: ModelVersion, progress: Progress) -> Findings:
    checkpoint = version.checkpoint
    if checkpoint is None:
        raise RegistryError(f"{settings.model_name} version {version.model_version} has no checkpoint any more")
    with tempfile.TemporaryDirectory() as temporary:
        model = serving.load(registry.download(checkpoint, Path(temporary)))
    settings.floors.of(model.labels)
    pachyderm = ingest.connect()
    split = _test_split(pachyderm, settings, model)
    trained_on, count = model.provenance["data_train"], len(split.labels)
    answers = model.predict(split.images, advance=_bar(progress, "test split", count))
    evaluation = Evaluation(answers, split.labels, model.labels)
    rival = incumbent.find(client, version, split, model.labels, _bar(progress, "version in production", count))
    source = origin.of(model.provenance, settings.pipeline_commit)
    corrected = feedback.find(pachyderm, model.provenance, split.images)
    moved_on = _bar(progress, "robustness", robustness.total(evaluation))
    return Findings(
        settings=settings,
        model=_registered(version, checkpoint),
        serving=model.metadata,
        split=split,
        data={
            "train": splits.facts(pachyderm, trained_on["repo"], trained_on["commit"]),
            "test": splits.facts(pachyderm, settings.test_data.split("@", 1)[0], split.commit),
        },
        seen=leakage.find(pachyderm, trained_on, split.commit),
        feedback=corrected,
        evaluation=evaluation,
        incumbent=rival,
        origin=source,
        robustness=robustness.measure(model.predict, split.images, evaluation, moved_on),
        latency=latency.measure(model, split.images),
        verdict=decide(evaluation, rival, source, corrected, settings),
    )


def _test_split(pachyderm: Client, settings: Settings, model: serving.ServingModel) -> ValidatedSplit:
    """The test split; raises FmnistError where it has labels that the model does not know, or is what it trained on."""
    split = validated.read(pachyderm, settings.test_data)
    read = (model.provenance.get(name) or {} for name in ("data_train", "data_feedback"))
    trained_on = [(_repo(str(each.get("repo"))), each.get("commit")) for each in read]
    if (_repo(split.reference), split.commit) in trained_on:
        raise FmnistError(
            f"the model was trained on {split.reference} itself (commit {split.commit}), so its accuracy there says "
            "nothing: set TEST_DATA to images that it has not seen"
        )
    if split.labels.max() >= len(model.labels):
        raise FmnistError(
            f"{split.reference} has the label {split.labels.max()}, and the model knows {len(model.labels)} classes: "
            "set TEST_DATA to a split of the data that it was trained on"
        )
    return split


def _repo(reference: str) -> str:
    """The repo of `[project/]repo[@…]`, its project named."""
    repo = reference.partition("@")[0]
    return repo if "/" in repo else f"default/{repo}"


def _bar(progress: Progress, description: str, total: int) -> Callable[[int], None]:
    """A function that moves a new bar on by a number of images; the bar is there from its first call on."""
    task = progress.add_task(description, total=total, visible=False)
    return lambda images: progress.update(task, advance=images, visible=True)


def _registered(version: ModelVersion, checkpoint: Checkpoint) -> RegisteredVersion:
    training = checkpoint.training
    config = (training.experiment_config if training else None) or {}
    return RegisteredVersion(
        name=version.model_name,
        number=version.model_version,
        checkpoint_uuid=checkpoint.uuid,
        trained=str(checkpoint.report_time),
        metadata=version.metadata or {},
        training={
            "experiment": config.get("name"),
            "description": config.get("description"),
            "searcher": (config.get("searcher") or {}).get("name"),
            "hyperparameters": (training.hparams if training else None) or {},
        },
    )
