"""A genuine client of Seldon's gRPC service, in the serving environment: protobuf's messages are not installed here."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from localcluster.settings import Settings

_PROGRAM = """
import json, sys, grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.empty_pb2 import Empty
from seldon_core.proto.prediction_pb2 import Feedback, SeldonMessage
from seldon_core.proto.prediction_pb2_grpc import SeldonStub
seldon = SeldonStub(grpc.insecure_channel(sys.argv[1], [("grpc.enable_http_proxy", 0)]))
how = {"timeout": 60, "wait_for_ready": True, "metadata": json.loads(sys.argv[2])}
kinds = {"Predict": SeldonMessage, "SendFeedback": Feedback, "ModelMetadata": Empty}
messages = [(method, ParseDict(content, kinds[method]())) for method, content in map(json.loads, sys.stdin)]
calls = [getattr(seldon, method).future(message, **how) for method, message in messages]
for call in calls:
    error = call.exception()
    found = {"error": error.details(), "status": error.code().name} if error else MessageToDict(call.result())
    print(json.dumps(found))
"""


def call(address: str, *calls: tuple[str, Any], headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """The answers to calls, [method, message as JSON], that are made at once; of a refused one `error` and `status`."""
    python = Settings.from_environment().serving_environment / "bin" / "python"
    done = subprocess.run(
        [python, "-c", _PROGRAM, address, json.dumps([*(headers or {}).items()])],
        input="\n".join(map(json.dumps, calls)),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
