"""A program for the serving environment: Seldon's gRPC server with a model that raises what a message names.

Prints as JSON a list of [method, error, status, details], and one of [method, status, count] from the metrics.
"""

from __future__ import annotations

import json
import multiprocessing
from typing import Any

import grpc
from seldon_core import wrapper
from seldon_core.proto.prediction_pb2 import Feedback, SeldonMessage
from seldon_core.proto.prediction_pb2_grpc import SeldonStub

from deploy.fashion_classifier import counters, errors, grpc_service
from deploy.fashion_classifier.stages import Stages

ERRORS = (errors.BadInput, errors.ModelError, errors.SpoolError, ZeroDivisionError)


class Model:
    """Raises."""

    def predict_in_stages(self, message: Any) -> Stages[Any]:
        """Raise the error that `strData` names, in the second stage."""
        yield
        self._refuse(message)

    def send_feedback_raw(self, message: Any) -> Any:
        """Raise the error that the request's `strData` names."""
        self._refuse(message.request)

    def _refuse(self, message: Any) -> None:
        raise {each.__name__: each for each in ERRORS}[message.strData]("what failed, and what to do next")


def main() -> None:
    """Ask for each error by both methods."""
    grpc_service.install()
    metrics = counters.MappedMetrics()
    server = wrapper.get_grpc_server(Model(), metrics)
    port = server.add_insecure_port("127.0.0.1:0")
    process = multiprocessing.Process(target=server.start)
    process.start()
    answers = []
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        seldon = SeldonStub(channel)
        for error in ERRORS:
            message = SeldonMessage(strData=error.__name__)
            calls = {"predict": (seldon.Predict, message), "feedback": (seldon.SendFeedback, Feedback(request=message))}
            for method, (call, content) in calls.items():
                refused = call.future(content, timeout=60).exception()
                answers.append([method, error.__name__, refused.code().name, refused.details()])
    process.terminate()
    process.join()
    counted = [
        [sample.labels["method"], sample.labels["status"], sample.value]
        for family in metrics.collect()
        for sample in family.samples
        if sample.name == "fashion_classifier_refusals_total"
    ]
    print(json.dumps([answers, counted]))


if __name__ == "__main__":
    main()
