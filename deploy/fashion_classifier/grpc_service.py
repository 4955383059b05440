"""Seldon's gRPC service with refusals that say what they are, and without Seldon's detour over JSON.

Whatever a servicer raises, gRPC answers with UNKNOWN and words of its own around the reason, which a client can
neither sort nor repeat.  Here each reason has its status, as over REST, and is counted.

To count an answer's metrics, Seldon writes the answer's `meta` as JSON and reads that; this took longer than all else
in a prediction.  Here they are counted as the wrapper has made them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import grpc  # type: ignore[import-untyped,unused-ignore]
from seldon_core import wrapper
from seldon_core.metrics import FEEDBACK_METRIC_METHOD_TAG, PREDICT_METRIC_METHOD_TAG

from . import counters, grpc_message, grpc_methods, grpc_server, metrics
from .errors import BadInput, ModelError, SpoolError
from .stages import Stages

_STATUS: dict[type[Exception], Any] = {
    BadInput: grpc.StatusCode.INVALID_ARGUMENT,
    ModelError: grpc.StatusCode.UNAVAILABLE,
    SpoolError: grpc.StatusCode.UNAVAILABLE,
}

_logger = logging.getLogger(__name__)


def install() -> None:
    """Let the gRPC servers of this process be `grpc_server.Server`, and answer with `ModelGRPC`.

    Called by the wrapper's constructor, which Seldon runs before it makes its servers.
    """
    wrapper.SeldonModelGRPC = ModelGRPC
    wrapper.grpc = SimpleNamespace(server=grpc_server.Server)


class ModelGRPC(wrapper.SeldonModelGRPC):  # type: ignore[misc]  # seldon_core has no types
    """Seldon's servicer, for the two calls that read a message."""

    @grpc_methods.in_stages(grpc_message.is_quick)
    def Predict(self, request_grpc: Any, context: Any) -> Stages[Any]:  # noqa: N802 - Seldon's name
        """Answer a SeldonMessage, or refuse it."""
        with _refusing(context, PREDICT_METRIC_METHOD_TAG):
            answer = yield from self.user_model.predict_in_stages(request_grpc)
            self.seldon_metrics.update(answer.metrics, PREDICT_METRIC_METHOD_TAG)
            return answer

    def SendFeedback(self, feedback_grpc: Any, context: Any) -> Any:  # noqa: N802 - Seldon's name
        """Take a Feedback message, or refuse it."""
        with _refusing(context, FEEDBACK_METRIC_METHOD_TAG):
            return super().SendFeedback(feedback_grpc, context)


@contextmanager
def _refusing(context: Any, method: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        status = _STATUS.get(type(error), grpc.StatusCode.INTERNAL)
        if status is grpc.StatusCode.INTERNAL:
            _logger.exception("%s failed", method)
        counters.count(metrics.refusal(status.name), method)
        context.abort(status, str(error))
