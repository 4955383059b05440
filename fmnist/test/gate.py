"""One run of the accuracy gate: from the registered version and the test split to verdict, report and registry."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from data import ingest, validated
from fmnist import artifacts, registry
from fmnist.errors import FmnistError, RegistryError
from fmnist.test import leakage, report, serving
from fmnist.test.evaluation import Evaluation
from fmnist.test.report import RegisteredVersion, Verdict

TEST_DATA = "fmnist-test@master"


@dataclass(frozen=True)
class Settings:
    """What the environment says about this run; `model_version` None means the newest."""

    model_name: str
    model_version: int | None
    threshold: float
    test_data: str
    report_folder: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read MODEL_NAME, MODEL_VERSION, ACCURACY_THRESHOLD, TEST_DATA and REPORT_DIR; raises FmnistError."""
        version = environ.get("MODEL_VERSION") or None
        if version is not None and not version.isdecimal():
            raise FmnistError(f"MODEL_VERSION={version!r} is not a version number; unset it to test the newest")
        text = environ.get("ACCURACY_THRESHOLD") or "0.91"
        try:
            threshold = float(text)
        except ValueError:
            threshold = math.nan
        if not 0 <= threshold <= 1:
            raise FmnistError(f"ACCURACY_THRESHOLD={text!r} is not a number from 0 to 1")
        return cls(
            model_name=environ.get("MODEL_NAME") or registry.MODEL_NAME,
            model_version=int(version) if version else None,
            threshold=threshold,
            test_data=environ.get("TEST_DATA") or TEST_DATA,
            report_folder=Path(environ.get("REPORT_DIR") or artifacts.BUILD / "report"),
        )


@dataclass(frozen=True)
class Outcome:
    """What a run of the gate found."""

    KEY: ClassVar[pytest.StashKey[Outcome]] = pytest.StashKey()

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
        model, data = self.document["model"], self.document["data_test"]
        return {
            "model": model["name"],
            "model_version": model["version"],
            "checkpoint_uuid": model["checkpoint_uuid"],
            "test_data": f"{data['repo']}@{data['commit']}",
            "accuracy": self.evaluation.accuracy,
            **{f"recall {result.name}": result.recall for result in self.evaluation.classes},
        }


def run_gate(settings: Settings) -> Outcome:
    """Evaluate the registered version; writes the report and the version's metadata.  Raises FmnistError, DataError."""
    started = time.monotonic()
    version = registry.resolve_version(registry.connect(), settings.model_name, settings.model_version)
    checkpoint = version.checkpoint
    if checkpoint is None:
        raise RegistryError(f"{settings.model_name} version {version.model_version} has no checkpoint any more")
    with tempfile.TemporaryDirectory() as temporary:
        model = serving.load(Path(checkpoint.download(str(Path(temporary) / checkpoint.uuid))))
    client = ingest.connect()
    split = validated.read(client, settings.test_data)
    seen = leakage.find(client, model.metadata["provenance"]["data_train"], split.commit)
    evaluation = Evaluation(model.predict(split.images), split.labels, model.labels)
    verdict = report.decide(evaluation, settings.threshold)
    document = report.document(
        model=RegisteredVersion(
            name=version.model_name,
            number=version.model_version,
            checkpoint_uuid=checkpoint.uuid,
            trained=str(checkpoint.report_time),
            metadata=version.metadata or {},
        ),
        serving=model.metadata,
        split=split,
        seen=seen,
        evaluation=evaluation,
        verdict=verdict,
        seconds=time.monotonic() - started,
    )
    report.write(settings.report_folder, document, evaluation, split)
    registry.merge_metadata(version, {"gate": report.summary(document)})
    return Outcome(document, evaluation, verdict, settings.report_folder)
