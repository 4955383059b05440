"""A program for the serving environment: which messages are quick, and which requests are calls at all.

Prints as JSON whether each message is quick, by name, and what each odd request is answered, [status, ...].
"""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import numpy as np
from PIL import Image
from seldon_core.proto.prediction_pb2 import SeldonMessage

from deploy.fashion_classifier import grpc_message, tftensor
from deploy.fashion_classifier.grpc_server import Server

IMAGE = np.arange(784, dtype=np.uint8).tobytes()
CALL = [(b"content-type", b"application/grpc+proto"), (b"te", b"trailers")]


def picture() -> bytes:
    """A picture of few bytes that takes long to read."""
    content = io.BytesIO()
    Image.new("L", (2000, 2000)).save(content, "PNG")
    return content.getvalue()


def messages() -> dict[str, SeldonMessage]:
    """One of each kind."""
    found = {name: SeldonMessage() for name in ("tensor", "tftensor", "tftensor of many sizes", "ndarray", "jsonData")}
    found["tensor"].data.tensor.shape.extend([1, 28, 28])
    found["tensor"].data.tensor.values.extend(IMAGE)
    for name, sizes in (("tftensor", (1, 28, 28)), ("tftensor of many sizes", (1,) * 500)):
        tftensor.describe(sizes, found[name].data.tftensor)
        found[name].data.tftensor.tensor_content = IMAGE
    found["ndarray"].data.ndarray.extend([1, 2])
    found["jsonData"].jsonData.string_value = "x"
    found["raw"] = SeldonMessage(binData=IMAGE)
    found["raw with meta"] = SeldonMessage(binData=IMAGE)
    found["raw with meta"].meta.puid = "p" * 100
    found["raw with much beside"] = SeldonMessage(binData=IMAGE)
    found["raw with much beside"].meta.tags["x"].string_value = "y" * 300
    found["picture"] = SeldonMessage(binData=picture())
    found["text"] = SeldonMessage(strData="x")
    found["empty"] = SeldonMessage()
    return found


def answer(**changes: Any) -> list[Any]:
    """The statuses that a server without servicers sends to a request without a body."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/seldon.protos.Seldon/Predict", "headers": CALL} | changes
    asyncio.run(Server(None, [])(scope, receive, send))  # type: ignore[arg-type]
    trailers = [dict(event["headers"])[b"grpc-status"].decode() for event in sent if event["type"].endswith("trailers")]
    return [sent[0]["status"], *trailers]


def main() -> None:
    """Ask for each."""
    quick = {name: grpc_message.is_quick(message.SerializeToString()) for name, message in messages().items()}
    requests = {
        "call": answer(),
        "GET": answer(method="GET"),
        "JSON": answer(headers=[(b"content-type", b"application/json"), (b"te", b"trailers")]),
        "without trailers": answer(headers=CALL[:1]),
        "websocket": answer(type="websocket"),
    }
    print(json.dumps([quick, requests]))


if __name__ == "__main__":
    main()
