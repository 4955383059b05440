"""The Seldon wrapper: `seldon-core-microservice FashionClassifier --service-type MODEL` serves this class.

It only joins the parts: payload and grpc_message (what a request may be), model (what answers it), outliers (what the
model does not know), metrics (what is counted), service (what Seldon's executor would add, since the deployment runs
without one), shortcut, worker and stages (what makes small predictions fast), grpc_service (what answers gRPC),
grpc_workers and arbiter (what keeps all answering).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from fashion_classifier import (
    arbiter,
    counters,
    envelope,
    feedback,
    grpc_message,
    grpc_service,
    grpc_workers,
    metrics,
    outliers,
    payload,
    pixels,
    processes,
    service,
    stages,
    worker,
)
from fashion_classifier.artifact import read_artifact
from fashion_classifier.errors import ModelError
from fashion_classifier.model import Classifier, Probabilities
from fashion_classifier.spool import Spool
from seldon_core.proto.prediction_pb2 import SeldonMessage
from seldon_core.utils import json_to_seldon_message, seldon_message_to_json

Message = dict[str, Any]
"""A Seldon message as JSON: `data`, `meta`, `status`."""


class FashionClassifier:
    """Images in, probabilities of the ten classes out; every answer names the model it comes from."""

    def __init__(self) -> None:
        """Read and verify the model folder (`MODEL_DIR`).  Raises ModelError.

        Runs once, before gunicorn forks: nothing that holds threads or native state may be created here.
        """
        processes.end_last()
        processes.end_together()
        counters.install()
        grpc_service.install()
        grpc_workers.install()
        worker.install()
        arbiter.install()
        self.artifact = read_artifact(Path(os.environ.get("MODEL_DIR", "/model")))
        self._tags = self.artifact.tags()
        self.model_error_handler = service.blueprint(self)
        self._classifier: Classifier | None = None
        file = self.artifact.outliers
        self._outliers = outliers.Detector(outliers.Statistics.read(file)) if file else None
        self._spool = Spool.from_environment()

    def load(self) -> None:
        """Load the model into this worker; Seldon calls it in each one after the fork.  Raises ModelError."""
        self._classifier = Classifier(self.artifact.model)

    def predict_raw(self, message: Any) -> Any:
        """Answer one Seldon message: JSON over REST, protobuf over gRPC.  Raises BadInput."""
        return stages.alone(self.predict_in_stages(message))

    def predict_in_stages(self, message: Any) -> stages.Stages[Any]:
        """What `predict_raw` does, in stages that several messages may take together."""
        started = time.perf_counter()
        is_protobuf = isinstance(message, SeldonMessage)
        request = grpc_message.read(message) if is_protobuf else payload.parse(message)
        received = envelope.received_meta(grpc_message.received_meta(message) if is_protobuf else message)
        yield
        before = time.perf_counter()
        probabilities = self.probabilities(request.images)
        inference = time.perf_counter() - before
        yield
        classes = probabilities.argmax(axis=1)
        tags, scores = dict[str, Any](self._tags), None
        if self._outliers:
            scores = self._outliers.scores(request.images, classes)
            tags |= outliers.tags(scores)
        yield
        names, seconds = self.class_names(), metrics.Seconds(inference, time.perf_counter() - started)
        counted = metrics.predictions(probabilities, classes, names, request.payload, seconds, scores)
        yield
        meta = envelope.meta(received, tags, counted)
        if is_protobuf:
            return grpc_message.write(probabilities, request.kind, names, meta)
        return {"data": {"names": names, **envelope.data(probabilities, request.kind)}, "meta": meta}

    def send_feedback_raw(self, message: Any) -> Any:
        """Store what a feedback message says, in the spool that `FEEDBACK_SPOOL` names; the answer says what was done.

        The reward is counted last, so only once where feedback was refused before.  Raises BadInput for a message that
        cannot be read, and SpoolError.
        """
        parts = {name: seldon_message_to_json(getattr(message, name)) for name in ("request", "response", "truth")}
        given = feedback.read(parts, self.artifact.labels)
        done = feedback.store(given, self._spool, mirrored=envelope.is_mirrored())
        counted = given.metrics(self.artifact.labels) if given else []
        counters.count_reward(message.reward)
        return json_to_seldon_message({"meta": envelope.meta({}, {**self.tags(), "feedback": done}, counted)})

    def probabilities(self, images: pixels.Images) -> Probabilities:
        """float32 [n, 10] for images uint8 [n, 28, 28].  Raises ModelError before `load()`."""
        if self._classifier is None:
            raise ModelError("the model is not loaded yet; wait until /health/status answers 200")
        return self._classifier.probabilities(images)

    def class_names(self) -> list[str]:
        """The ten class names in the order of the probabilities."""
        return list(self.artifact.labels)

    def tags(self) -> dict[str, str]:
        """Where the answers come from (`meta.tags`)."""
        return dict(self._tags)

    def health_status(self) -> str:
        """Classify a blank image: ready means that the model answers.  Raises ModelError."""
        self.probabilities(np.zeros((1, pixels.SIDE, pixels.SIDE), np.uint8))
        return "ready"

    def init_metadata(self) -> Message:
        """The model as Seldon's metadata endpoint describes it."""
        tags = self.tags()
        return {
            "name": self.artifact.name,
            "versions": [tags.get("model_version", "unregistered")],
            "platform": str(self.artifact.metadata["model"]["runtime"]),
            "inputs": [{"messagetype": "tensor", "schema": {"shape": [pixels.SIDE, pixels.SIDE]}}],
            "outputs": [{"messagetype": "tensor", "schema": {"names": self.class_names(), "shape": [1, 10]}}],
            "custom": tags,
        }
